"""How well a fit predicts what it is not shown: one run after the other, or one cluster of runs."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from arviz_stats.base.array import array_stats
from jax import Array
from jax.scipy.special import logsumexp
from numpyro.distributions.distribution import validation_enabled
from scipy.optimize import minimize

from bayescale import diagnostics, parallel
from bayescale.fit import PARETO_K, Fit
from bayescale.infer.pointwise import likelihood_of, log_likelihood
from bayescale.model import Model, effect_of
from bayescale.runs import Runs

# The shock of a cluster is integrated over so many standard deviations of its draws to either side, in such steps:
# given all else it is narrower, by up to about five times, and a rectangle rule in steps of one sd is exact to 1e-8.
REACH, STEP = 6.0, 0.2
BATCH = 200  # draws at once


@dataclass(frozen=True, eq=False)
class Predictive:
    """Log predictive densities of what was left out, in nats.

    Attributes:
        unit: what was left out at a time: "run", a factor, or "future".
        pointwise: of each unit, (units,).
        pareto_k: of the importance weights of each, (units,); nan where the fit was repeated without it.
        trouble: why a fit behind them is not to be taken as a result.
    """

    unit: str
    pointwise: np.ndarray
    pareto_k: np.ndarray
    trouble: tuple[str, ...] = ()

    @property
    def value(self) -> float:
        """Their sum, the expected log predictive density; nan where one is not known."""
        return float(self.pointwise.sum())

    @property
    def doubtful(self) -> int:
        """Of how many units the density is not to be believed: all of them where a fit has not converged."""
        bad = (self.pareto_k > PARETO_K) | ~np.isfinite(self.pointwise) | bool(self.trouble)
        return int(np.sum(bad))

    def less(self, other: "Predictive") -> tuple[float, float]:
        """By how many nats this exceeds another, and the standard error, from the differences unit by unit."""
        apart = self.pointwise - other.pointwise
        error = np.sqrt(len(apart)) * np.std(apart, ddof=1) if len(apart) > 1 else np.inf
        return float(apart.sum()), float(error)


def said_of(unit: str) -> str:
    """What was left out, in words."""
    said = {"run": "one run left out", "future": "the largest runs from the small ones"}
    return said.get(unit, f"one {unit} left out")


def leave_one_out(fit: Fit) -> Predictive:
    """The density of each run given all the others, by Pareto-smoothed importance sampling.

    Runs of the weight 0 are not there. A run keeps the shock of its cluster, which its fellows tell.

    Source:
        Vehtari, Gelman and Gabry 2017, arXiv:1507.04544, as ArviZ does it.
    """
    there = np.asarray(fit.runs.weight) > 0
    density = (log_likelihood(fit) * np.asarray(fit.runs.weight))[:, there]
    return _smoothed(fit, "run", density)


def leave_one_cluster_out(fit: Fit, by: str) -> Predictive:
    """The density of the runs of each level of a factor together, given all other levels.

    The shock that the runs of a level share is integrated out, since without them nothing is known of it. Where other
    parameters differ by the factor the Pareto-k says how far the answer is to be believed.

    Raises:
        ValueError: there is no such factor.
    """
    if by not in fit.runs.levels:
        known = ", ".join(fit.runs.levels) or "none; name grouping columns as factors"
        raise ValueError(
            f"{fit.runs.source}: there is no factor {by} to leave levels out of; there are {known}"
        )
    index, weight = np.asarray(fit.runs.factors[by]), np.asarray(fit.runs.weight)
    levels = np.flatnonzero(np.bincount(index, weight > 0, len(fit.runs.levels[by])))
    if any(effect.by == by for effect in fit.model.effects or ()):
        density = _without_shock(fit, by)[:, levels]
    else:
        each = log_likelihood(fit) * weight
        density = np.stack([each[:, index == level].sum(axis=1) for level in levels], axis=1)
    return _smoothed(fit, by, density)


def _smoothed(fit: Fit, unit: str, density: np.ndarray) -> Predictive:
    chains, draws = next(iter(fit.draws.values())).shape[:2]
    own = density.reshape(chains, draws, -1)
    # Draws that hang together say less of the tail of the weights than as many that do not.
    effective = np.mean([diagnostics.ess_mean(own[:, :, i]) for i in range(own.shape[2])])
    pointwise, k, _ = array_stats.loo(own, chain_axis=0, draw_axis=1, r_eff=min(effective / len(fit), 1.0))
    return Predictive(unit, np.asarray(pointwise), np.asarray(k), fit.trouble)


def _without_shock(fit: Fit, by: str) -> np.ndarray:
    """The log density of the runs of each level with its shock integrated out, (draws, levels)."""
    name = effect_of(by)
    width = REACH * fit.flat(name).std(axis=0)
    with parallel.workbench():
        flat = {site: jnp.asarray(fit.flat(site)) for site in fit.draws}
        parts = []
        for begin in range(0, len(fit), BATCH):
            part = {site: values[begin : begin + BATCH] for site, values in flat.items()}
            parts.append(jax.device_get(_integrated(fit.model, by, part, fit.runs, jnp.asarray(width))))
    return np.concatenate(parts)


@partial(jax.jit, static_argnums=(0, 1))
def _integrated(model: Model, by: str, draws: dict[str, Array], runs: Runs, width: Array) -> Array:
    name, index = effect_of(by), runs.factors[by]
    offsets = jnp.arange(-1.0, 1.0 + STEP / REACH / 2, STEP / REACH)

    def one(values):
        scale, middle = values[f"{name}_scale"], values[name]
        # Never wider than the prior of the shock, which for one draw may be narrower by far than for all.
        reach = jnp.minimum(jnp.where(width > 0, width, jnp.inf), REACH * scale)

        def at(offset):
            shock = middle + offset * reach
            with validation_enabled(False):
                each = (
                    likelihood_of(model, {**values, name: shock}, runs).log_prob(runs.response) * runs.weight
                )
            own = jax.ops.segment_sum(each, index, num_segments=len(width))
            return own - (shock / scale) ** 2 / 2 - jnp.log(scale * jnp.sqrt(2 * jnp.pi))

        steps = jnp.log(reach * STEP / REACH)
        return logsumexp(jax.lax.map(at, offsets), axis=0) + steps

    return jax.vmap(one)(draws)


def stacking(all_of: Sequence[Predictive]) -> np.ndarray:
    """The weights with which the predictions of models, mixed, would have had the greatest density, (models,).

    Source:
        Yao, Vehtari, Simpson and Gelman 2018, arXiv:1704.02030.
    """
    logs = np.stack([one.pointwise for one in all_of], axis=1)
    density = np.exp(logs - logs.max(axis=1, keepdims=True))
    count = density.shape[1]
    found = minimize(
        lambda w: -np.mean(np.log(density @ w)),
        np.full(count, 1 / count),
        jac=lambda w: -np.mean(density / (density @ w)[:, None], axis=0),
        bounds=[(1e-9, 1.0)] * count,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1, "jac": lambda w: np.ones(count)},
        method="SLSQP",
        options={"ftol": 1e-10, "maxiter": 500},
    )
    if not found.success:
        raise RuntimeError(f"no stacking weights were found: {found.message}")
    weights = np.clip(found.x, 0, None)
    return weights / weights.sum()
