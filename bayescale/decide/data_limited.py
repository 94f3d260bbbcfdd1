"""The best split of a budget where only so many tokens are unique and the others repeat them."""

from bayescale.decide import frontier
from bayescale.decide.allocate import BOUNDS, at_bound, check_bounds, check_compute, wasted
from bayescale.decide.decision import Decision, mean
from bayescale.decide.efficiency import check_positive
from bayescale.decide.frontier import Flop, six
from bayescale.decide.support import decision
from bayescale.decide.surface import Surface, surface
from bayescale.fit import Fit

UNLIMITED = 1e100  # unique tokens: more than any run sees


def data_limited_optimal(
    fit: Fit | Surface,
    compute: float,
    unique: float,
    *,
    bounds: tuple[float, float] = BOUNDS,
    flop: Flop = six,
    centre: bool = False,
    **levels: str,
) -> Decision:
    """The parameters, tokens and epochs at which `compute` FLOP give the least loss with `unique` unique tokens.

        N = argmin L(N, D, min(U, D)),    D = C / 6N

    Args:
        fit: a fit of a law of loss in N, D and U, such as data_constrained, or its surface.
        compute: the budget, in FLOP.
        unique: U, the unique tokens there are.
        bounds: the least and the most parameters considered.
        flop: the FLOP of training for each token, of N; 6N by default.
        centre: whether to take the parameters that levels differ from, instead of those of a level.
        levels: the level of each factor by which parameters differ, as corpus="web".

    Returns:
        N, D, D/N, the epochs D/U, the loss, how far it lies above that with unlimited unique tokens, and the share of
        the compute that could have been saved with them. The choice is the N of the least expected loss.

    Raises:
        ValueError: the law is not in U; or as for `compute_optimal`.

    Source:
        Muennighoff et al. 2023, arXiv:2305.16264, section 3; they give no closed form.
    """
    check_compute(compute)
    check_positive(unique=unique)
    check_bounds(bounds)
    level = surface(fit, at=None, centre=centre, **levels)
    if "U" not in level.law.covariates:
        raise ValueError(
            f"law {level.law.name} does not know of unique tokens; fit one in U, such as data_constrained"
        )
    at_level, free = level.holding(U=unique), level.holding(U=UNLIMITED)
    at_level.holds("N", "D")
    best = frontier.best(at_level, compute, flop=flop, bounds=bounds)
    if best.least.any() or best.most.any():
        raise ValueError(at_bound(compute, bounds, best.least, best.most))
    loss = at_level.each(N=best.N, D=best.D)
    new = frontier.best(free, compute, flop=flop, bounds=bounds)
    N = frontier.choice(at_level, compute, best.N, flop=flop)
    D = float(frontier.tokens(compute, N, flop=flop))
    got = at_level.each(N=N, D=D)
    return decision(
        "data_limited_optimal",
        at_level,
        {"C": float(compute)},
        {
            "N": best.N,
            "D": best.D,
            "D/N": best.D / best.N,
            "epochs": best.D / unique,
            "loss": loss,
            "excess loss": loss - free.each(N=new.N, D=new.D),
            "cost of repeating": wasted(free, loss, compute, flop=flop),
        },
        {"N": best.N, "D": best.D},
        choice={"N": N, "D": D, "epochs": D / unique, "loss": mean(got)},
        regret=wasted(at_level, got, compute, flop=flop),
        units={"cost of repeating": "share of the compute"},
    )
