"""Which of two runs would be better, and whether that is for the data or for the model to say."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from bayescale.check.findings import Finding
from bayescale.check.loo import leave_one_out
from bayescale.decide.budget import needed
from bayescale.decide.decision import Decision, mean
from bayescale.decide.pairs import both, paired
from bayescale.decide.support import decision
from bayescale.decide.surface import Surface, surface
from bayescale.fit import Fit

APART = 0.2  # probabilities of a decision that differ by more are for the model to say, not for the data
CLOSE = 4.0  # nats of predictive density: a model farther behind is no rival


def better(
    of: Fit | Surface,
    first: Mapping[str, float],
    second: Mapping[str, float],
    *,
    over: Fit | Surface | None = None,
    joint: bool | None = None,
) -> Decision:
    """Whether one run would have a lower loss than another, on their curves.

    `probability("difference", below=0)` is the probability that the first is better. The choice is the run of the least
    expected loss, and the excess loss how far it lies above the better one of the two in each draw: what it costs to
    choose wrongly, in nats. Of a law in N and D the regret is the same in compute, 1 - C_eq / C_eq of the other run,
    where C_eq is the compute at which the best split reaches the loss of a run.

    Args:
        of: the fit or the surface that says what the first run would reach.
        first: a point, covariate -> value, such as {"N": 1e10, "D": 1.7e12}.
        second: another one.
        over: the fit or the surface of the second run, where it is of another level or another fit.
        joint: whether draw number k of both belongs together; by default where both are of one fit.

    Returns:
        The loss of the first less that of the second, both losses, and the excess loss.

    Raises:
        ValueError: a covariate of a law is missing, not positive, not of the law, or held.
    """
    one, other = paired(surface(of), surface(of if over is None else over), joint)
    for run in (first, second):
        for c, value in run.items():
            if not (np.isfinite(value) and value > 0):
                raise ValueError(f"{c} of a run is {value}; it is a positive number")
    one.leaves(*first)
    other.leaves(*second)
    losses = one.each(**first), other.each(**second)
    asked = {
        f"{c} {which}": float(v)
        for which, run in (("first", first), ("second", second))
        for c, v in run.items()
    }
    apart = losses[0] - losses[1]
    best = int(mean(apart) > 0)
    excess = np.maximum(-apart if best else apart, 0.0)
    draws = {
        "difference": apart,
        "loss of the first": losses[0],
        "loss of the second": losses[1],
        "excess loss": excess,
    }
    run = {c: float(v) for c, v in (first, second)[best].items()}
    answer = decision(
        "better",
        one,
        asked,
        draws,
        first,
        choice={**run, "excess loss": mean(excess)} if np.isfinite(apart).any() else None,
        regret=_in_compute(one, (first, second), losses, best) if over is None else None,
        units=dict.fromkeys(draws, "nats for each token"),
    )
    return both(answer, decision("better", other, {}, {}, second))


def _in_compute(
    at_level: Surface, runs: tuple[Mapping[str, float], ...], losses: tuple[np.ndarray, ...], best: int
) -> np.ndarray | None:
    """By what share the chosen run is worth less compute than the other one, (draws,), of a law in N and D."""
    law = at_level.law
    if (
        law.response != "loss"
        or not {"N", "D"} <= set(law.covariates)
        or any(set(r) != {"N", "D"} for r in runs)
    ):
        return None
    of_best, of_other = (needed(at_level, losses[k]) for k in (best, 1 - best))
    with np.errstate(invalid="ignore"):
        return np.clip(1 - of_best / of_other, 0.0, 1.0)


@dataclass(frozen=True, eq=False, repr=False)
class Rivals:
    """One question asked of several fits.

    Attributes:
        decisions: name of the fit -> its answer.
        probabilities: name of the fit -> the probability that was asked for.
        rivals: the names of those that the data do not put far behind; the finding is of these.
        findings: MODELSENS, where it is for the model to say; a note where only fits far behind say otherwise.
        elpd: name of the fit -> its expected log predictive density in nats, as far as it was given.
    """

    decisions: dict[str, Decision]
    probabilities: dict[str, float]
    rivals: tuple[str, ...]
    findings: tuple[Finding, ...]
    elpd: dict[str, float]

    @property
    def said(self) -> str:
        """The probabilities, each with the elpd of its fit."""
        beside = {name: f", elpd {value:.1f} nats" for name, value in self.elpd.items()}
        return "; ".join(
            f"{value:.2f} by {name}{beside.get(name, '')}" for name, value in self.probabilities.items()
        )

    def stacked(self, weights: Mapping[str, float]) -> float:
        """The probability by all fits together, weighted, such as by the stacking weights of a comparison.

        Raises:
            ValueError: a weight is of no fit, is negative, or all are 0.
        """
        unknown = [name for name in weights if name not in self.probabilities]
        total = sum(weights.values())
        if unknown or min(weights.values(), default=-1.0) < 0 or total <= 0:
            known = ", ".join(self.probabilities)
            raise ValueError(f"weights are {dict(weights)}; they are 0 or more, not all 0, of {known}")
        return sum(weight * self.probabilities[name] for name, weight in weights.items()) / total

    def __repr__(self) -> str:
        said = ", ".join(f"{value:.3f} ({name})" for name, value in self.probabilities.items())
        return f"Rivals({said}{''.join(f'; {finding}' for finding in self.findings)})"


def rivals(
    fits: Mapping[str, Fit | Surface],
    ask: Callable[[Fit | Surface], Decision],
    quantity: str,
    *,
    above: float | None = None,
    below: float | None = None,
    elpd: Mapping[str, float] | None = None,
) -> Rivals:
    """A question asked of fits of different laws or noises to the same runs, and whether they agree.

    Args:
        fits: name -> a fit or a surface.
        ask: a function of one of them that gives a decision, such as
            `lambda fit: better(fit, {"N": 1e10, "D": 1.7e12}, {"N": 1e11, "D": 1.7e11})`.
        quantity: the quantity of the decision that the probability is of.
        above: the probability is that the quantity is above this,
        below: and below this.
        elpd: name -> the expected log predictive density, in nats, such as `left_out` gives; a fit more than 4 behind
            the best is no rival. With nothing said, all are, but for fits of one draw, of which a probability is 0 or
            1.

    Raises:
        ValueError: there are fewer than two fits, a fit has no elpd, or fits are of different runs.
    """
    if len(fits) < 2:
        raise ValueError(f"{len(fits)} fit has no rivals; give two or more, by name")
    if elpd is not None and (missing := [name for name in fits if name not in elpd and len(fits[name]) > 1]):
        raise ValueError(f"{missing[0]} has no elpd; give one for each of {', '.join(fits)}, or none")
    _same_runs(fits)
    decisions = {name: ask(fit) for name, fit in fits.items()}
    found = {name: one.probability(quantity, above=above, below=below) for name, one in decisions.items()}
    drawn = [name for name, one in decisions.items() if len(one) > 1]
    known = {name: float(elpd[name]) for name in fits if name in elpd} if elpd else {}
    best = max((known[name] for name in drawn if name in known), default=0.0)
    behind = {name: best - known[name] if known else 0.0 for name in drawn}
    close = tuple(name for name in drawn if behind[name] <= CLOSE)
    findings = _sensitive({name: found[name] for name in drawn}, behind, quantity)
    return Rivals(decisions, found, close, findings, known)


def left_out(fits: Mapping[str, Fit | Surface]) -> dict[str, float]:
    """How well each fit predicts the runs left out one by one, in nats; nothing is said of fits of one draw.

    Args:
        fits: name -> a fit or a surface, all of the same runs.

    Returns:
        Name -> the expected log predictive density, by Pareto-smoothed importance sampling.

    Raises:
        ValueError: the fits are of different runs.
    """
    _same_runs(fits)
    own = {name: one.fit if isinstance(one, Surface) else one for name, one in fits.items()}
    return {name: leave_one_out(fit).value for name, fit in own.items() if len(fit) > 1}


def _same_runs(fits: Mapping[str, Fit | Surface]) -> None:
    own = {name: one.fit if isinstance(one, Surface) else one for name, one in fits.items()}
    drawn = [name for name, fit in own.items() if len(fit) > 1]  # published ones were made of who knows which
    for name in drawn:
        if own[name].runs.measured != own[drawn[0]].runs.measured:
            raise ValueError(
                f"{name} was fitted to other runs than {drawn[0]}; rivals are fits to the same, so that one can tell "
                "which predicts them better"
            )


def _sensitive(
    probabilities: Mapping[str, float], behind: Mapping[str, float], quantity: str
) -> tuple[Finding, ...]:
    """MODELSENS, of those that the data do not put far behind; a note where only others say otherwise."""
    close = {name: value for name, value in probabilities.items() if behind[name] <= CLOSE}
    said = ", ".join(f"{value:.2f} with {name}" for name, value in probabilities.items())
    apart = _range(close)
    if apart > APART:
        straddles = max(close.values()) > 0.5 > min(close.values())
        message = ", ".join(f"{value:.2f} with {name}" for name, value in close.items())
        return (
            Finding(
                "MODELSENS",
                "severe" if straddles else "warning",
                f"the probability asked of {quantity} is {message}: that is for the model to say, and not for these "
                "data",
                apart,
                "Weigh the models by how they predict (bayescale compare gives stacking weights), or add runs near it",
            ),
        )
    if not _range(probabilities) > APART:
        return ()
    far = [
        name
        for name, value in probabilities.items()
        if name not in close and _range({**close, name: value}) > APART
    ]
    which = " and ".join(f"{name}, {behind[name]:.0f} nats behind by leave-one-out" for name in far)
    return (
        Finding(
            "MODELSENS",
            "note",
            f"the probability asked of {quantity} is {said}: only {which}, {'says' if len(far) == 1 else 'say'} "
            "otherwise",
            _range(probabilities),
            "Believe those that predict the runs better",
        ),
    )


def _range(probabilities: Mapping[str, float]) -> float:
    return max(probabilities.values(), default=0.0) - min(probabilities.values(), default=0.0)
