"""Compute-optimal allocation: how many parameters, and how many tokens, for a budget."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from bayescale import parallel
from bayescale.columns import label
from bayescale.fit import Fit
from bayescale.law import Law
from bayescale.model import Model
from bayescale.noise import Noise
from bayescale.runs import Runs

GRID = 257  # 32 to a decade of the default bounds: two valleys of a loss are farther apart than that
HALVINGS = 60  # a step of the grid is below 1, so this reaches the last bit


def compute_optimal(
    fit: Fit,
    compute: float,
    *,
    bounds: tuple[float, float] = (1e6, 1e14),
    centre: bool = False,
    strict: bool = True,
    **levels: str,
) -> tuple[np.ndarray, np.ndarray]:
    """The parameters and tokens at which `compute` FLOP give the least loss, one answer for each draw.

        N = argmin L(N, C / 6N),    D = C / 6N

    Args:
        fit: a fit of a law in N and D.
        compute: the budget, in FLOP.
        bounds: the least and the most parameters considered.
        centre: whether to take the parameters that levels differ from, instead of those of a level.
        strict: whether it is an error that the optimum of a draw is at a bound; if not, that draw is not a number.
        levels: the level of each factor by which parameters differ, as corpus="web".

    Returns:
        Parameters and tokens, each (draws,).

    Raises:
        ValueError: the law is not one of loss in N and D, a level is missing, or the optimum of a draw is at
            a bound.

    Source:
        Hoffmann et al. 2022, arXiv:2203.15556, equation 4, is the closed form for one law.
    """
    _check(fit, compute, bounds)
    if not centre:
        fit.require(levels)
    elif levels:
        raise ValueError(f"centre=True and {', '.join(levels)}=... contradict each other; give one of them")
    with parallel.workbench():
        relative = fit.relative(levels)
        own = {p: relative[p] for p in fit.model.law.parameters}
        units = fit.runs.replace(columns={}, response=None, factors={}, weight=np.ones(()), levels={})
        low, high = np.log(bounds)
        log_n, least, most = jax.device_get(
            _minimum(_bare(fit.model.law, fit.model.noise), units, own, compute, low, high)
        )
    if strict and (least.any() or most.any()):
        raise ValueError(_at_bound(compute, bounds, least, most))
    N = np.where(least | most, np.nan, np.exp(log_n))
    return N, compute / (6 * N)


def _check(fit: Fit, compute: float, bounds: tuple[float, float]) -> None:
    law = fit.model.law
    if set(law.covariates) != {"N", "D"} or law.response != "loss":
        axes = ", ".join(law.covariates) or "no covariate"
        raise ValueError(
            f"law {law.name} is of {law.response} in {axes}; an allocation needs a law of loss in N, D"
        )
    if not (np.isfinite(compute) and compute > 0):
        raise ValueError(f"compute is {compute}; it is a positive number of FLOP, such as 5.76e23")
    if not (0 < bounds[0] < bounds[1] < np.inf):
        raise ValueError(f"bounds are {bounds}; they are the least and the most N, such as (1e6, 1e14)")


def _at_bound(compute: float, bounds: tuple[float, float], least: np.ndarray, most: np.ndarray) -> str:
    said = [
        f"in {bad.sum()} of {len(bad)} draws the best N for {label(compute)} FLOP is at or beyond the bound "
        f"{label(bound)}"
        for bad, bound in ((least, bounds[0]), (most, bounds[1]))
        if bad.any()
    ]
    return f"{'; '.join(said)}; widen bounds, or take it that the fit does not tell the optimum"


@functools.lru_cache
def _bare(law: Law, noise: Noise) -> Model:
    """The law without what groups share: one model for all its fits, so that it is compiled once."""
    return Model(law, noise, effects=())


@functools.partial(jax.jit, static_argnums=0)
def _minimum(
    model: Model, units: Runs, own: dict[str, Array], compute: ArrayLike, low: ArrayLike, high: ArrayLike
) -> tuple[Array, Array, Array]:
    """The ln N of the least loss, and whether it is at the lower and at the upper bound, each (draws,)."""

    def loss(log_n: Array, one: dict[str, Array]) -> Array:
        N = jnp.exp(log_n)
        return model.mean(units.replace(columns={"N": N, "D": compute / (6 * N)}), one)

    slope = jax.grad(loss)

    def of_draw(one: dict[str, Array]) -> tuple[Array, Array, Array]:
        grid = jnp.linspace(low, high, GRID)
        values = jax.vmap(lambda x: loss(x, one))(grid)
        lowest = jnp.argmin(jnp.where(jnp.isnan(values), jnp.inf, values))
        left, right = grid[jnp.maximum(lowest - 1, 0)], grid[jnp.minimum(lowest + 1, GRID - 1)]

        # The loss is flat at its minimum, and would tell ln N to 1e-8 only; its slope tells all digits.
        def halve(_, bracket):
            left, right = bracket
            middle = (left + right) / 2
            falls = slope(middle, one) < 0
            return jnp.where(falls, middle, left), jnp.where(falls, right, middle)

        a, b = jax.lax.fori_loop(0, HALVINGS, halve, (left, right))
        least = (lowest == 0) & (slope(left, one) >= 0)
        most = (lowest == GRID - 1) & (slope(right, one) <= 0)
        return (a + b) / 2, least, most

    return jax.vmap(of_draw)(own)
