"""What a run that is not compute-optimal wastes."""

from collections.abc import Iterable, Mapping

import numpy as np

from bayescale.decide import frontier
from bayescale.decide.allocate import WIDE, check_compute, split, wasted
from bayescale.decide.budget import equivalent
from bayescale.decide.decision import Curve, Decision
from bayescale.decide.frontier import Flop, six
from bayescale.decide.support import decision
from bayescale.decide.surface import Surface, surface
from bayescale.fit import Fit


def efficiency(
    fit: Fit | Surface,
    *,
    N: float,
    D: float,
    at: Mapping[str, float] | None = None,
    flop: Flop = six,
    centre: bool = False,
    **levels: str,
) -> Decision:
    """How much compute a run of N parameters on D tokens needed, of what it took.

        efficiency = C_eq / C,    deadweight loss = 1 - C_eq / C

    C_eq is the compute at which the best split of the draw reaches the loss of the run.

    Args:
        fit: a fit of a law of loss in N and D, or its surface.
        N: parameters.
        D: training tokens.
        at: further covariates of the law, column -> the value they are held at.
        flop: the FLOP of training for each token, of N; 6N by default.
        centre: whether to take the parameters that levels differ from, instead of those of a level.
        levels: the level of each factor by which parameters differ, as corpus="web".

    Returns:
        The efficiency, the deadweight loss, the compute needed, the loss, and its excess over the best split.
    """
    check_positive(N=N, D=D)
    at_level = surface(fit, at=at, centre=centre, **levels)
    at_level.holds("N", "D")
    compute = float(frontier.cost(N, flop)) * D
    loss = at_level.each(N=N, D=D)
    waste = wasted(at_level, loss, compute, flop=flop)
    best = split(at_level, compute, bounds=WIDE, flop=flop, strict=False)
    least = at_level.each(N=best[0], D=best[1])
    return decision(
        "efficiency",
        at_level,
        {"N": float(N), "D": float(D), "C": compute},
        {
            "efficiency": 1 - waste,
            "deadweight loss": waste,
            "C needed": (1 - waste) * compute,
            "loss": loss,
            "excess loss": loss - least,
        },
        {"N": N, "D": D},
        units={"C needed": "FLOP"},
    )


def regret(
    fit: Fit | Surface,
    compute: float,
    *,
    N: Iterable[float],
    at: Mapping[str, float] | None = None,
    flop: Flop = six,
    centre: bool = False,
    **levels: str,
) -> Curve:
    """What each of several numbers of parameters would waste of a budget, draw by draw.

    Args:
        fit: a fit of a law of loss in N and D, or its surface.
        compute: the budget, in FLOP.
        N: the numbers of parameters, (points,).
        at: further covariates of the law, column -> the value they are held at.
        flop: the FLOP of training for each token, of N; 6N by default.
        centre: whether to take the parameters that levels differ from, instead of those of a level.
        levels: the level of each factor by which parameters differ, as corpus="web".

    Returns:
        Along N, the deadweight loss 1 - C_eq / C, the loss, and its excess over the best split.
    """
    check_compute(compute)
    sizes = np.asarray(list(N), float)
    check_positive(N=sizes)
    at_level = surface(fit, at=at, centre=centre, **levels)
    at_level.holds("N", "D")
    tokens = frontier.tokens(compute, sizes, flop=flop)
    loss = at_level.loss(N=sizes, D=tokens)
    waste = np.maximum(1 - equivalent(at_level, loss, compute, flop=flop) / compute, 0.0)
    best = split(at_level, compute, bounds=WIDE, flop=flop, strict=False)
    excess = loss - at_level.each(N=best[0], D=best[1])[:, None]
    decisions = [
        decision(
            "regret",
            at_level,
            {"C": float(compute), "N": size},
            {"deadweight loss": waste[:, i], "loss": loss[:, i], "excess loss": excess[:, i]},
            {"N": size, "D": tokens[i]},
        )
        for i, size in enumerate(sizes.tolist())
    ]
    return Curve("N", sizes, tuple(decisions))


def check_positive(**values: float | np.ndarray) -> None:
    """Refuse what is not a positive number."""
    for name, value in values.items():
        if not (np.isfinite(value) & (np.asarray(value) > 0)).all():
            raise ValueError(f"{name} is {value}; it is a positive number")
