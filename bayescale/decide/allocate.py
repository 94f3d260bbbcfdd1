"""Compute-optimal allocation: how many parameters, and how many tokens, for a budget."""

from collections.abc import Mapping

import numpy as np

from bayescale.check.discrepancy import carried
from bayescale.check.record import Tested, record_of
from bayescale.columns import label
from bayescale.decide import frontier
from bayescale.decide.budget import needed
from bayescale.decide.decision import Decision, mean
from bayescale.decide.flops import checked
from bayescale.decide.frontier import Flop, six
from bayescale.decide.support import decision
from bayescale.decide.surface import Surface, surface
from bayescale.fit import Fit

BOUNDS = (1e6, 1e14)  # parameters
WIDE = (1.0, 1e20)  # parameters: wide enough for the best N of every draw
WIDER = 1e3  # by which bounds are widened in an example


def compute_optimal(
    fit: Fit | Surface,
    compute: float,
    *,
    at: Mapping[str, float] | None = None,
    bounds: tuple[float, float] = BOUNDS,
    flop: Flop = six,
    backtest: Tested | None = None,
    centre: bool = False,
    strict: bool = True,
    **levels: str,
) -> Decision:
    """The parameters and tokens at which `compute` FLOP give the least loss.

        N = argmin L(N, C / 6N),    D = C / 6N

    The choice is the N of the least loss on average over the draws, which is not the average of their best N; the
    regret is the share of the compute that each draw would have saved with its own best N.

    Args:
        fit: a fit of a law of loss in N and D, or its surface.
        compute: the budget, in FLOP.
        at: further covariates of the law, column -> the value they are held at.
        bounds: the least and the most parameters considered.
        flop: the FLOP of training for each token, of N; 6N by default. It is traced by JAX.
        backtest: a back-test of the law along C, or what `bayescale backtest -o` wrote of it: beyond the runs the
            loss gets its drift; N and D do not, since all splits of a budget drift alike.
        centre: whether to take the parameters that levels differ from, instead of those of a level.
        strict: whether it is an error that the optimum of a draw is at a bound; if not, that draw is not a number.
        levels: the level of each factor by which parameters differ, as corpus="web".

    Returns:
        N, D, D/N, the loss there, and the local exponents a = d ln N / d ln C and b = 1 - a.

    Raises:
        ValueError: the law is not one of loss in N and D, a level or a covariate is missing, the optimum of a draw is
            at a bound, or the back-test is of another law or not along C.

    Source:
        Hoffmann et al. 2022, arXiv:2203.15556, equation 4, is the closed form for one law.
    """
    at_level = surface(fit, at=at, centre=centre, **levels)
    N, D = split(at_level, compute, bounds=bounds, flop=flop, strict=strict)
    loss = at_level.each(N=N, D=D)
    a = frontier.exponents(at_level, N, compute, flop=flop)
    chosen = frontier.choice(at_level, compute, N, flop=flop)
    tokens = float(frontier.tokens(compute, chosen, flop=flop))
    got = at_level.each(N=chosen, D=tokens)
    regret = np.where(np.isnan(N), np.nan, wasted(at_level, got, compute, flop=flop))
    record = record_of(backtest, at_level.fit) if backtest is not None else None
    if record:
        record.along("C")
        loss, got = (carried(v, record.gap(at_level.fit, {"C": compute}), record.drift) for v in (loss, got))
    return decision(
        "compute_optimal",
        at_level,
        {"C": float(compute)},
        {"N": N, "D": D, "D/N": D / N, "loss": loss, "a": a, "b": 1 - a},
        {"N": N, "D": D},
        choice={"N": chosen, "D": tokens, "loss": mean(got)} if np.isfinite(chosen) else {},
        regret=regret,
        record=record,
    )


def split(
    fit: Fit | Surface,
    compute: float,
    *,
    at: Mapping[str, float] | None = None,
    bounds: tuple[float, float] = BOUNDS,
    flop: Flop = six,
    centre: bool = False,
    strict: bool = True,
    **levels: str,
) -> tuple[np.ndarray, np.ndarray]:
    """The N and D of `compute_optimal` alone, each (draws,): what bootstraps and figures ask for many times.

    Everything is as for `compute_optimal`.
    """
    check_compute(compute)
    check_bounds(bounds)
    at_level = surface(fit, at=at, centre=centre, **levels)
    at_level.holds("N", "D")
    N, D, least, most = frontier.best(at_level, compute, flop=flop, bounds=bounds)
    if strict and (least.any() or most.any()):
        raise ValueError(at_bound(compute, bounds, least, most))
    outside = least | most
    return np.where(outside, np.nan, N), np.where(outside, np.nan, D)


def wasted(
    at_level: Surface, loss: np.ndarray, compute: float, *, served: float = 0.0, flop: Flop = six
) -> np.ndarray:
    """The share of a budget that was not needed for a loss, 1 - C_eq / C, (draws,).

    C_eq is the budget at which the best split of the draw reaches the loss. A loss below the least that the
    budget buys in a draw, by rounding, wastes nothing.
    """
    with np.errstate(invalid="ignore"):
        return np.maximum(1 - needed(at_level, loss, served=served, flop=flop) / compute, 0.0)


def regret_under(at_level: Surface, answer: Decision, choice: Mapping[str, float | str]) -> np.ndarray:
    """What the choice of another fit for the same budget wastes by this one, (draws,).

    Args:
        at_level: the law.
        answer: its own answer, of `compute_optimal` or `data_limited_optimal`, split by 6ND.
        choice: that of the other.
    """
    got = at_level.each(N=float(choice["N"]), D=float(choice["D"]))
    return wasted(at_level, got, float(answer.asked["C"]))


def check_compute(compute: float) -> None:
    """Refuse what is no budget."""
    checked(compute)


def check_bounds(bounds: tuple[float, float]) -> None:
    """Refuse what are no bounds."""
    if not (0 < bounds[0] < bounds[1] < np.inf):
        raise ValueError(f"bounds are {bounds}; they are the least and the most N, such as (1e6, 1e14)")


def at_bound(compute: float, bounds: tuple[float, float], least: np.ndarray, most: np.ndarray) -> str:
    """What is said of draws whose best N is at a bound."""
    said = [
        f"in {bad.sum()} of {len(bad)} draws the best N for {label(compute)} FLOP is at or beyond the bound "
        f"{label(bound)}"
        for bad, bound in ((least, bounds[0]), (most, bounds[1]))
        if bad.any()
    ]
    wider = f"{bounds[0] / WIDER:g}", f"{bounds[1] * WIDER:g}"
    return (
        f"{'; '.join(said)}; widen bounds, as bounds=({', '.join(wider)}) or bayescale allocate --bounds "
        f"{','.join(wider)}, or take it that the fit does not tell the optimum"
    )
