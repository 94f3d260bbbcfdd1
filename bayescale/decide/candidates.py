"""Runs not yet made: which there might be, what they cost, and what a fit says they would show."""

from collections.abc import Mapping, Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from jax import Array
from jax.scipy.special import logsumexp
from numpyro.distributions.distribution import validation_enabled
from scipy.interpolate import PchipInterpolator

from bayescale import forecast, parallel
from bayescale.columns import label
from bayescale.fit import Fit
from bayescale.model import Model, effect_of
from bayescale.runs import Runs

RATIOS = (1.0, 2.0, 5.0, 20.0, 50.0, 200.0, 500.0, 2000.0)  # D/N, from Gopher's to that of Llama-3-8B
DECADES, STEPS = 2.0, 5  # how far below the budget a run may be, and in how many steps of half a decade
OWN = ("run", "model")  # factors of which each new run is a new level
NEAR = 0.05  # in ln N: sizes so near are one size, as in a table whose sizes are read off a figure
PARAMETERS = 200  # draws that the density of the noise is averaged over: it hardly varies between them
LOWEST = -700.0  # the logarithm of a density relative to its peak that is as good as none: exp of less is 0
SMALLEST, LARGEST, POINTS = 1e-9, 10.0, 800  # residuals at which it is tabulated, to either side


def points_of(
    fits: Sequence[Fit],
    budget: float,
    candidates: Mapping[str, npt.ArrayLike] | None,
    batch: int,
    at: Mapping[str, float],
) -> Runs:
    """The candidates as a table without responses, with N, D and C as far as they follow from each other.

    Args:
        fits: the fits that are asked, all of them to the same runs.
        budget: for all runs together, FLOP.
        candidates: covariate -> (candidates,); if None, a grid over D/N and over compute from the hundredth part of the
            budget up to all of it.
        batch: how many runs there may be.
        at: further covariates, column -> the value they are held at where candidates do not say; U is at most D.

    Raises:
        ValueError: a covariate is missing or not positive, or no candidate is within the budget.
    """
    if not (np.isfinite(budget) and budget > 0):
        raise ValueError(f"budget is {budget}; it is a positive number of FLOP, such as 1e21")
    if candidates is None:
        for fit in fits:
            needed = (*fit.model.law.covariates, *fit.model.noise.covariates)
            if more := [c for c in needed if c not in ("N", "D", "C", *at)]:
                raise ValueError(
                    f"{fit.model.law.name} needs {', '.join(needed)}; hold {more[0]}, as at={{{more[0]!r}: 8}} or "
                    f"--hold {more[0]}=8, or give candidates that have it"
                )
        shares = np.unique([*np.logspace(-DECADES, 0, STEPS), 1 / batch])
        C, ratio = (axis.ravel() for axis in np.meshgrid(budget * shares, RATIOS, indexing="ij"))
        N = np.sqrt(C / (6 * ratio))
        candidates = {"N": N, "D": ratio * N, "C": C}
    candidates = {**at, **candidates}
    if {"U", "D"} <= set(candidates):  # no more tokens are unique than are seen
        candidates["U"] = np.minimum(candidates["U"], candidates["D"])
    table, *_ = [forecast.grid(fit.model, fit.runs, candidates) for fit in fits]
    if "C" not in table.columns:
        raise ValueError(
            f"what a candidate costs does not follow from {', '.join(candidates)}; give N and D of each, or C"
        )
    least = float(cost(table).min())
    if least > budget * (1 + 1e-9):
        raise ValueError(
            f"the cheapest candidate takes {label(least)} FLOP and the budget is {label(budget)}; raise it, or give "
            "smaller candidates"
        )
    return table


def measured(fit: Fit, table: Runs) -> Runs:
    """The candidates as a fit measures them."""
    return forecast.grid(fit.model, fit.runs, table.columns)


def told(table: Runs) -> dict[str, np.ndarray]:
    """The candidates as they are told, covariate or D/N -> (candidates,)."""
    found = {c: np.asarray(v, float) for c, v in table.columns.items() if c != "C"}
    return found | {"D/N": found["D"] / found["N"]} if {"N", "D"} <= set(found) else found


# ---- What a run would show


def shown(fit: Fit, points: Runs, levels: Mapping[str, str]) -> np.ndarray:
    """The log loss that each candidate would show but for noise, (draws, candidates).

    A shock that the fit knows is in it: of a factor in `levels`, or of a size that is in the table.
    """
    own = {by: level for by, level in levels.items() if by in fit.model.factors}
    columns = {c: v for c, v in points.columns.items() if c in forecast.meant(fit.model)}
    mean = fit.predict(columns, kind="mean", key=None, **own)
    return np.log(mean) + _known(fit, groups(fit, points, levels))


Groups = dict[str, list[int | tuple[str, int]]]


def groups(fit: Fit, points: Runs, levels: Mapping[str, str]) -> Groups:
    """For each effect the level of each candidate: the index of one that is known, or the name of a new one.

    A run is a level of its own of "run" and "model"; of "size" it is of the level of nearly its N; of any other factor
    all new runs are of the level named, or of one new level.
    """
    found: Groups = {}
    for effect in fit.model.effects or ():
        by, count = effect.by, len(points)
        if by in levels:
            found[by] = [fit.runs.levels[by].index(levels[by])] * count
        elif by in OWN:
            found[by] = [(by, i) for i in range(count)]
        elif by == "size":
            found[by] = _sizes(fit, np.log(np.asarray(points.columns["N"], float)))
        else:
            found[by] = [(by, 0)] * count
    return found


def _sizes(fit: Fit, log_n: np.ndarray) -> list[int | tuple[str, int]]:
    index = np.asarray(fit.runs.factors["size"])
    logs = np.log(np.asarray(fit.runs.columns["N"], float))
    known = np.bincount(index, logs) / np.bincount(index)
    nearest = np.abs(log_n[:, None] - known).argmin(axis=1)
    new = np.round(log_n / (2 * NEAR)).astype(int)
    near = np.abs(log_n - known[nearest]) <= NEAR
    return [int(n) if is_near else ("size", int(k)) for n, is_near, k in zip(nearest, near, new, strict=True)]


def _known(fit: Fit, levels: Groups) -> np.ndarray | float:
    """The shocks of the levels that the fit knows, (draws, candidates)."""
    total = 0.0
    for by, of in levels.items():
        shocks = fit.flat(effect_of(by))
        total = total + np.stack(
            [shocks[:, level] if isinstance(level, int) else np.zeros(len(fit)) for level in of], axis=1
        )
    return total


def shared(fit: Fit, points: Runs, levels: Mapping[str, str]) -> np.ndarray:
    """The covariance of the shocks of new levels that candidates share, (candidates, candidates).

    On its diagonal are those shocks of each candidate that another run of the same level would share; those of each run
    alone are part of `own_variance`.
    """
    total = np.zeros((len(points), len(points)))
    for by, of in groups(fit, points, levels).items():
        if by not in OWN or by in levels:
            same = [[isinstance(a, tuple) and a == b for b in of] for a in of]
            total += np.mean(fit.flat(f"{effect_of(by)}_scale") ** 2) * np.array(same)
    return total


def own_variance(fit: Fit, points: Runs, levels: Mapping[str, str], spread: np.ndarray) -> np.ndarray:
    """The variance that each run has for itself, (candidates,): of noise, and of the shocks of each run.

    Args:
        fit: the fit.
        points: the candidates.
        levels: the levels that they are of.
        spread: the standard deviation of what each would show but for that, (candidates,).
    """
    for_itself = [e.by for e in fit.model.effects or () if e.by in OWN and e.by not in levels]
    shocks = sum((np.mean(fit.flat(f"{effect_of(by)}_scale") ** 2) for by in for_itself), start=0.0)
    residuals, logs = residual_density(fit, points, levels)
    noise = [
        as_normal(residuals, logs[i], s)
        for i, s in zip(np.arange(len(points)) % len(logs), spread, strict=True)
    ]
    return np.array(noise) + shocks


# ---- Noise as normal noise


def residual_density(fit: Fit, points: Runs, levels: Mapping[str, str]) -> tuple[np.ndarray, np.ndarray]:
    """The log density of the residual of the log loss of a new run, averaged over the draws.

    Returns:
        Residuals, (residuals,), and the log density there of each candidate, (candidates, residuals); of one of them
        where it is the same for all.
    """
    thinned = np.unique(np.linspace(0, len(fit) - 1, PARAMETERS).astype(int))
    own = {by: level for by, level in levels.items() if by in fit.model.factors}
    sizes = np.geomspace(SMALLEST, LARGEST, POINTS)
    residuals = np.concatenate([-sizes[::-1], sizes])
    alike = fit.model.noise.residuals == "log" and not fit.model.noise.covariates
    table = chosen(points, [0]) if alike else points
    with parallel.workbench():
        relative = {name: jnp.asarray(values)[thinned] for name, values in fit.relative(own).items()}
        return residuals, np.asarray(_density(fit.model, table, relative, residuals))


@partial(jax.jit, static_argnums=0)
def _density(model: Model, points: Runs, parameters: Mapping[str, Array], residuals: Array) -> Array:
    def of_draw(own):
        mean = model.mean(points, own)

        def at(residual):
            y = mean * jnp.exp(residual)
            with validation_enabled(False):
                return jnp.asarray(model.noise(mean, points, own).log_prob(y)) + jnp.log(y)

        return jax.vmap(at, out_axes=1)(residuals)

    each = jax.vmap(of_draw)(parameters)
    return logsumexp(each, axis=0) - jnp.log(len(each))


def as_normal(residuals: np.ndarray, logs: np.ndarray, spread: float) -> float:
    """The variance of the normal noise that would leave as much unknown of a number that is N(0, spread^2).

    With noise of density p that is what is left of the variance of the number once it was measured, on average,
    spread^2 - E[E[f | y]^2]. Where the number is hardly uncertain it is the inverse of the Fisher information, of
    Student's t with nu degrees of freedom sigma^2 (nu + 3) / (nu + 1); where it is very uncertain more, as outliers are
    then not seen to be such.

    Args:
        residuals: (residuals,), ascending.
        logs: the log density there, (residuals,).
        spread: how uncertain the number is.
    """
    scale = float(np.exp(-logs.max()))  # of a normal density 2.5 standard deviations
    # Measurements evenly near 0 and in the logarithm far off, where heavy tails are.
    y = np.hypot(spread, scale) * np.sinh(np.linspace(-7, 7, 241))[:, None]
    # The numbers that are likely before, in steps of a twentieth of their spread; where noise is narrower also those
    # that it makes likely for each measurement.
    f = np.broadcast_to(spread * np.linspace(-8, 8, 321), (len(y), 321))
    if spread > scale:
        span = np.arcsinh(residuals[-1] / scale)
        f = np.sort(np.hstack([f, y - scale * np.sinh(np.linspace(-span, span, 401))]), axis=1)
    least = np.abs(residuals).min()
    # Smoothly between the residuals of the table, since a narrow spread sees slopes; nothing is beyond them.
    height = np.maximum(logs - logs.max(), LOWEST)
    noise = PchipInterpolator(np.arcsinh(residuals / least), height, extrapolate=False)
    log_noise = noise(np.arcsinh((y - f) / least))
    joint = np.where(np.isnan(log_noise), 0.0, np.exp(log_noise - (f / spread) ** 2 / 2))
    evidence = np.trapezoid(joint, f, axis=1)
    some = np.maximum(evidence, 1e-300)
    mean = np.trapezoid(joint * f, f, axis=1) / some
    variance = np.trapezoid(joint * (f - mean[:, None]) ** 2, f, axis=1) / some
    told, left = (np.trapezoid(part * evidence, y[:, 0]) for part in (mean**2, variance))
    return float(spread**2 * left / told)


def cost(points: Runs) -> np.ndarray:
    """What each candidate costs, (candidates,), FLOP."""
    return np.asarray(points.columns["C"], float)


def chosen(points: Runs, batch: Sequence[int]) -> Runs:
    """The table of a batch of candidates, some perhaps twice."""
    at = np.asarray(batch, int)
    columns = {c: np.asarray(v)[at] for c, v in points.columns.items()}
    return points.replace(columns=columns, weight=np.ones(len(at)))
