"""How much compute one recipe, or one shape of a model, saves over another."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from bayescale.check.findings import Finding
from bayescale.decide import frontier
from bayescale.decide.allocate import check_compute
from bayescale.decide.budget import needed
from bayescale.decide.decision import Decision, mean
from bayescale.decide.efficiency import check_positive, efficiency
from bayescale.decide.frontier import Flop, six
from bayescale.decide.invert import inverse
from bayescale.decide.pairs import both, paired
from bayescale.decide.support import decision
from bayescale.decide.surface import Surface, surface
from bayescale.fit import Fit


def compute_equivalent_gain(
    of: Fit | Surface,
    over: Fit | Surface,
    compute: float,
    *,
    joint: bool | None = None,
    flop: Flop = six,
) -> Decision:
    """How many times `compute` one recipe needs to do as well as another does with `compute` FLOP.

        gain(C) = C_over(L_of(C)) / C

    Both recipes are split as is best for each. The gain depends on C unless the recipes share the floor and the
    exponents: ask for a curve, `curve(lambda C: compute_equivalent_gain(a, b, C), C=[...])`. `probability("gain",
    above=1)` is the probability that the recipe is the better one at this compute. The choice is the recipe that
    wastes less on average: the regret is the share of its compute that the other one would not have needed for the
    same loss.

    Args:
        of: the recipe that is asked about: a fit, or a surface such as surface(fit, corpus="web").
        over: the recipe that needs so many times the compute: another level of the same fit, or another fit.
        compute: the compute of the first recipe, in FLOP.
        joint: whether draw number k of both belongs together, as it does in one fit, or in two that were made of the
            same replicates. By default where both are of one fit; otherwise one is shuffled.
        flop: the FLOP of training for each token, of N; 6N by default.

    Returns:
        The gain, infinite where the other recipe never does as well, the loss, and the compute the other one needs.

    Raises:
        ValueError: a law is neither in N and D nor in C; or the draws do not pair.

    Source:
        Davidson et al. 2023, arXiv:2312.07413, for the name.
    """
    check_compute(compute)
    first, second = paired(surface(of), surface(over), joint)
    point, loss = _least(first, compute, flop)
    C = _compute(second, loss, flop)
    draws = {"gain": C / compute, "loss": loss, "C needed": C}
    units = {"gain": "times", "C needed": "FLOP"}
    asked, said = {"C": float(compute)}, _one_recipe(first, second)
    recipe, regret = None, None
    if not said:  # two models of one recipe are no two recipes to choose from
        back = _compute(first, _least(second, compute, flop)[1], flop)
        recipe, regret = _lesser(_names(first, second), (C / compute, back / compute))
    one = decision(
        "compute_equivalent_gain",
        first,
        asked,
        draws,
        point,
        choice={"recipe": recipe} if recipe else None,
        regret=regret,
        units=units,
        findings=said,
    )
    one = one.replace(asked=one.asked | {f"over {name}": value for name, value in second.asked.items()})
    return both(one, decision("compute_equivalent_gain", second, {}, {}, {"C": C}))


def relative_efficiency(
    fit: Fit | Surface,
    first: Mapping[str, float],
    second: Mapping[str, float],
    *,
    at: Mapping[str, float] | None = None,
    flop: Flop = six,
    centre: bool = False,
    **levels: str,
) -> Decision:
    """How many times as far a FLOP goes in one run as in another, by the law of one fit.

        gain = (C_eq / C of the first) / (C_eq / C of the second)

    C_eq is the compute at which the best split reaches the loss of a run; see `efficiency`.

    Args:
        fit: a fit of a law of loss in N and D, or its surface.
        first: the run that is asked about, such as {"N": 7e10, "D": 1.4e12}.
        second: the run it is compared with.
        at: further covariates of the law, column -> the value they are held at.
        flop: the FLOP of training for each token, of N; 6N by default.
        centre: whether to take the parameters that levels differ from, instead of those of a level.
        levels: the level of each factor by which parameters differ, as corpus="web".

    Returns:
        The gain and the efficiency of either run. The choice is the run that wastes less on average: the regret is the
        share of its compute that a run as efficient as the other one would not have needed for the same loss.
    """
    at_level = surface(fit, at=at, centre=centre, **levels)
    found = [efficiency(at_level, N=run["N"], D=run["D"], flop=flop) for run in (first, second)]
    one, other = (decision["efficiency"] for decision in found)
    asked = {f"{c} {which}": float(run[c]) for which, run in (("of", first), ("over", second)) for c in "ND"}
    run, regret = _lesser((first, second), (one / other, other / one))
    answer = decision(
        "relative_efficiency",
        at_level,
        asked,
        {"gain": one / other, "efficiency of the first": one, "efficiency of the second": other},
        first,
        choice={c: float(run[c]) for c in "ND"} if run else None,
        regret=regret,
        units={"gain": "times"},
    )
    return both(answer, found[1])


def speedup(
    fit: Fit | Surface,
    better: float,
    worse: float,
    *,
    at: Mapping[str, float] | None = None,
    flop: Flop = six,
    centre: bool = False,
    **levels: str,
) -> Decision:
    """How many times the compute the law needs for a better loss as for a worse one.

        speedup = C(better) / C(worse)

    For L = E + A C^-alpha it is ((worse - E) / (better - E))^(1 / alpha), whatever the budget of the two runs was.

    Args:
        fit: a fit of a law of loss in N and D, or in C alone, or its surface: the ladder that losses are held to.
        better: the lower loss, in nats for each token.
        worse: the higher one.
        at: further covariates of the law, column -> the value they are held at.
        flop: the FLOP of training for each token, of N; 6N by default.
        centre: whether to take the parameters that levels differ from, instead of those of a level.
        levels: the level of each factor by which parameters differ, as corpus="web".

    Returns:
        The speedup and the compute of either loss.
    """
    check_positive(better=better, worse=worse)
    if better > worse:
        raise ValueError(f"better is {better:g} and worse is {worse:g}; better is the lower loss")
    at_level = surface(fit, at=at, centre=centre, **levels)
    best, other = (_compute(at_level, np.full(len(at_level), loss), flop) for loss in (better, worse))
    return decision(
        "speedup",
        at_level,
        {"better": float(better), "worse": float(worse)},
        {"speedup": _ratio(best, other), "C better": best, "C worse": other},
        {"C": best},
        units={"speedup": "times", "C better": "FLOP", "C worse": "FLOP"},
    )


def _lesser(options: tuple, shares: tuple[np.ndarray, np.ndarray]) -> tuple:
    """The one of two options that wastes less on average, and what it wastes, (draws,); None where nothing is known.

    Args:
        options: the two.
        shares: of each how many times its compute the other one needs to do as well, (draws,); above 1 none is wasted.
    """
    wasted = [np.clip(1 - share, 0.0, 1.0) for share in shares]
    means = [mean(one) for one in wasted]
    if np.isnan(means).any():
        return None, None
    best = int(means[1] < means[0])
    return options[best], wasted[best]


def _names(first: Surface, second: Surface) -> tuple[str, str]:
    """What tells two recipes apart: their levels, where it is these."""
    of_first, of_second = (
        ", ".join(f"{by}={level}" for by, level in one.levels.items() if other.levels.get(by) != level)
        for one, other in ((first, second), (second, first))
    )
    return (of_first, of_second) if of_first and of_second else ("the first", "the second")


def _one_recipe(first: Surface, second: Surface) -> tuple[Finding, ...]:
    """SAME_RUNS, where two fits are two models of one recipe."""
    runs = first.fit.runs
    alike = runs.measured == second.fit.runs.measured and first.levels == second.levels
    if first.fit is second.fit or not alike or "published" in (first.fit.method, second.fit.method):
        return ()
    return (
        Finding(
            "SAME_RUNS",
            "warning",
            f"both fits are of the same {len(runs)} runs and levels: this is what two models of one recipe differ by, "
            "and no gain of a recipe",
            float(len(runs)),
            "Compare fits of different runs, or two levels of one fit",
        ),
    )


def _least(at_level: Surface, compute: float, flop: Flop) -> tuple[dict[str, npt.ArrayLike], np.ndarray]:
    """Where a recipe does best with a budget, and the loss there."""
    if _along_compute(at_level):
        return {"C": compute}, at_level.each(C=compute)
    best = frontier.best(at_level, compute, flop=flop)
    return {"N": best.N, "D": best.D}, at_level.each(N=best.N, D=best.D)


def _compute(at_level: Surface, loss: np.ndarray, flop: Flop) -> np.ndarray:
    """The compute at which a recipe reaches a loss, (draws,)."""
    return inverse(at_level, "C", loss) if _along_compute(at_level) else needed(at_level, loss, flop=flop)


def _along_compute(at_level: Surface) -> bool:
    """Whether a law is of compute alone; if not, it has to be in N and D."""
    covariates = set(at_level.law.covariates)
    along = "C" in covariates and not {"N", "D"} <= covariates
    at_level.holds(*(("C",) if along else ("N", "D")))
    return along


def _ratio(of: np.ndarray, over: np.ndarray) -> np.ndarray:
    """The ratio of two computes; not a number where the loss of both is out of reach."""
    with np.errstate(invalid="ignore"):
        return of / over
