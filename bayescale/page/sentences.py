"""What a decision says, in the words of a page."""

from dataclasses import replace

import numpy as np

from bayescale.columns import label
from bayescale.decide.allocate import WIDE
from bayescale.decide.decision import Decision
from bayescale.page.tables import interval


def within(found: Decision, quantity: str) -> tuple[Decision, str]:
    """A decision in the draws where a quantity is finite, and in words what is in the others."""
    there = np.isfinite(found[quantity])
    if there.all():
        return found, ""
    within = replace(found, draws={name: values[there] for name, values in found.draws.items()}, regret=None)
    out = "is out of reach of any compute"
    if not there.any():
        return within, out if len(found) == 1 else f"{out} in every draw"
    return within, f"{out} in {_share(1 - there.mean())} of the draws; where it is within reach it "


def _share(part: float) -> str:
    return "less than 0.1%" if 0 < part < 0.001 else "more than 99.9%" if 0.999 < part < 1 else f"{part:.1%}"


def split(found: Decision) -> str:
    """The split of a budget."""
    if not found.defined("N"):
        low, high = WIDE
        draws = "" if len(found) == 1 else " in any draw"
        compute = label(float(found.asked["C"]))
        return f"No split of {compute} FLOP between {low:g} and {high:g} parameters is best{draws}."
    return finished(
        found,
        f"Spend {label(float(found.asked['C']))} FLOP on {interval(found, 'N', 'parameters')} and "
        f"{interval(found, 'D', 'tokens')}, {interval(found, 'D/N', 'tokens per parameter')}; expect a loss of "
        f"{interval(found, 'loss', 'nats per token')}.",
    )


def finished(found: Decision, said: str) -> str:
    """A sentence with what is to be known of its numbers."""
    if len(found) == 1:
        return f"{said} This is a point estimate: it comes with no interval."
    if found.question != "compute_optimal" or (share := found.defined("N")) == 1:
        return said
    return f"{said} In {_share(1 - share)} of the draws no such split is best."


def advice(found: Decision) -> str:
    """What to do, and what that may waste; nothing where nothing is chosen."""
    N, D = (float(found.choice.get(name, np.nan)) for name in "ND")
    if not np.isfinite(N):
        return ""
    said = f"If one size has to be chosen: {label(N)} parameters on {label(D)} tokens"
    regret = np.array([]) if found.regret is None else found.regret[np.isfinite(found.regret)]
    if len(regret) < 2:
        return f"{said}."
    mean, high = regret.mean(), np.quantile(regret, 0.95)
    return f"{said}. That wastes {mean:.1%} of the budget on average, and less than {high:.1%} in 95% of the draws."


def attempt(found: Decision) -> str:
    """The one run to do for a target, and what it may waste; nothing where the answer is one run already."""
    if not found.choice or found.regret is None or len(found) == 1:
        return ""
    chosen = {name: label(float(value)) for name, value in found.choice.items()}
    run = [f"{chosen['C']} FLOP"] if "C" in chosen else []
    run += [f"{chosen['N']} parameters on {chosen['D']} tokens"] if "N" in chosen else []
    regret = found.regret[np.isfinite(found.regret)]
    said = f"If one run has to do: {', '.join(run)}. It misses in {_share(np.mean(regret == 1))} of the draws"
    return f"{said}; counting all of it as wasted there, it wastes {regret.mean():.1%} on average."
