"""Effective compute: physical compute times what every improvement is worth."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from bayescale.decide.allocate import check_compute
from bayescale.decide.decision import Decision
from bayescale.decide.efficiency import check_positive

MONTHS = 12.0


def effective_compute(
    compute: float, gains: Mapping[str, Decision | npt.ArrayLike], *, years: float | None = None
) -> Decision:
    """Compute times what every improvement is worth, counted in orders of magnitude.

        log10 effective = log10 C + sum of log10 gain

    Draw number k of every gain belongs together, so they have to be of one fit, or else independent of each other.

    Args:
        compute: the physical compute, in FLOP.
        gains: name -> a decision with the quantity "gain", or draws of one, (draws,), or a number.
        years: how long the improvements took; with them the time in which the gains double the effective compute is
            given, in months; it is infinite where they come to nothing.

    Returns:
        The orders of magnitude of each gain and of all together, and the effective compute.

    Raises:
        ValueError: there are no gains, one is negative or empty, or they have different numbers of draws.

    Source:
        Ho et al. 2024, arXiv:2403.05812, for the doubling time.
    """
    check_compute(compute)
    if not gains:
        raise ValueError("there are no gains to count; give some, such as {'recipe': decision}")
    drawn = {
        k: np.atleast_1d(np.asarray(g["gain"] if isinstance(g, Decision) else g, float))
        for k, g in gains.items()
    }
    for name, values in drawn.items():
        if not values.size or (values < 0).any():
            raise ValueError(
                f"the gain {name} has {'no draws' if not values.size else 'negative draws'}; it is a factor"
            )
    sizes = {len(values) for values in drawn.values()} - {1}
    if len(sizes) > 1:
        said = ", ".join(f"{name} {len(values)}" for name, values in drawn.items())
        raise ValueError(
            f"gains have different numbers of draws: {said}; draws that belong together are needed"
        )
    size = max(sizes, default=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        magnitudes = {f"OOM of {k}": np.broadcast_to(np.log10(v), size) for k, v in drawn.items()}
        total = np.sum(list(magnitudes.values()), axis=0)
        draws = magnitudes | {"OOM": total, "effective C": compute * 10**total}
        if years is not None:
            check_positive(years=years)
            # What does not grow never doubles.
            growing = np.where(total > 0, total, np.nan)
            time = MONTHS * years * np.log10(2) / growing
            draws["doubling time"] = np.where(total <= 0, np.inf, time)
    decided = [g for g in gains.values() if isinstance(g, Decision)]
    return Decision(
        question="effective_compute",
        asked={"C": float(compute), **({"years": float(years)} if years is not None else {})},
        draws=draws,
        units={"effective C": "FLOP", "doubling time": "months"},
        beyond={c: max(g.beyond[c] for g in decided if c in g.beyond) for g in decided for c in g.beyond},
        choice={},
        regret=None,
        findings=tuple(dict.fromkeys(f for g in decided for f in g.findings)),
        trouble=tuple(dict.fromkeys(t for g in decided for t in g.trouble)),
    )
