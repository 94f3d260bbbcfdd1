"""The evidence for a model: the log marginal likelihood of its runs, by two unlike estimators that must agree.

One is made of the draws of NUTS, the other knows nothing of them: it begins at the modes. Where both agree, neither
has missed what the other has found.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jax import Array, random
from jax.scipy.linalg import solve_triangular
from numpyro.distributions import Distribution
from numpyro.distributions.distribution import validation_enabled

from bayescale import parallel
from bayescale.fit import PARETO_K, Fit
from bayescale.infer.bridge import Estimate, bridge
from bayescale.infer.density import Density
from bayescale.infer.frame import Frame, frame
from bayescale.infer.importance import Weighted, around, importance
from bayescale.infer.mode import every_mode, find
from bayescale.infer.tempered import tempered
from bayescale.runs import Runs

BATCH = 4096  # points that are evaluated at once
ERRORS, NATS = 3.0, 0.2  # beyond either, two estimates do not agree


@dataclass(frozen=True, eq=False)
class Evidence:
    """The log marginal likelihood of a table under a model, in nats.

    Attributes:
        fit: the fit it is of.
        bridge: from the draws of the fit, by bridge sampling.
        importance: from draws of a mixture that begins at the modes, by importance sampling.
        pareto_k: of the importance weights.
        laplace: from the curvature at the mode, a first look only.
        tempered: by sequential Monte Carlo, where that was asked for.
        priors: the prior of each parameter and scale, without which the evidence means nothing.
        sensitivity: block of priors -> by how much the evidence changes where their scales are (halved, doubled).
    """

    fit: Fit
    bridge: Estimate
    importance: Estimate
    pareto_k: float
    laplace: float
    priors: Mapping[str, Distribution]
    sensitivity: Mapping[tuple[str, ...], tuple[Estimate, Estimate]]
    tempered: Estimate | None = None

    @property
    def value(self) -> float:
        """Both estimates in one, each by its precision."""
        shares = np.array([self.bridge.error, self.importance.error]) ** -2.0
        return float(np.average([self.bridge.value, self.importance.value], weights=shares))

    @property
    def error(self) -> float:
        """The standard error of `value`; never less than half of what the estimates differ by."""
        combined = (self.bridge.error**-2 + self.importance.error**-2) ** -0.5
        return max(combined, abs(self.bridge.value - self.importance.value) / 2)

    @property
    def trouble(self) -> tuple[str, ...]:
        """Why the evidence is not to be taken as a result, in words; empty where there is no reason."""
        found = [f"the fit has not converged: {why}" for why in self.fit.trouble]
        if not np.isfinite([*self.bridge[:2], *self.importance[:2]]).all():
            return (*found, "an estimate is not finite")
        apart = abs(self.bridge.value - self.importance.value)
        combined = np.hypot(self.bridge.error, self.importance.error)
        if apart > min(ERRORS * combined, NATS):
            found.append(
                f"bridge sampling says {self.bridge.value:.3f} (error {self.bridge.error:.3f}), importance sampling "
                f"{self.importance.value:.3f} ({self.importance.error:.3f}): they differ by {apart:.3f} nats"
            )
        if not self.pareto_k < PARETO_K:
            found.append(f"the Pareto-k of the importance weights is {self.pareto_k:.2f}, above {PARETO_K}")
        third = self.tempered
        if third is not None and not abs(third.value - self.value) <= max(ERRORS * third.error, NATS):
            found.append(
                f"sequential Monte Carlo says {third.value:.2f} (error {third.error:.2f}), the others {self.value:.2f}"
            )
        return tuple(found)

    def __repr__(self) -> str:
        trouble = f"; NOT TO BE USED: {'; '.join(self.trouble)}" if self.trouble else ""
        return f"Evidence({self.fit.model.law.name}: {self.value:.3f}, error {self.error:.3f}{trouble})"


def log_evidence(key: Array, fit: Fit, *, third: bool = False) -> Evidence:
    """The log marginal likelihood of the runs of a fit under its model.

    It is that of the responses in natural units, so that the evidences of models for the same table may be compared.

    Args:
        key: the random key.
        fit: draws of NUTS.
        third: whether sequential Monte Carlo is asked too, which begins at the prior and needs BlackJAX: for laws
            with several modes, or of which the runs say little. It takes hundreds of times as long.

    Raises:
        ImportError: `third` without BlackJAX.
        ValueError: the fit has no posterior draws, too few of them, or a prior is improper.

    Source:
        Gronau et al. 2017, arXiv:1703.05984, for what evidence is, and how not to compute it.
    """
    if fit.method != "nuts":
        raise ValueError(f"evidence needs posterior draws, and the fit is of {fit.method}; fit with nuts")
    with parallel.workbench():
        key_modes, key_third, *keys = random.split(key, 4)
        density = Density.of(fit.model, fit.runs)
        priors = {s.name: s.prior for s in density.sites if not s.name.endswith("_raw")}
        for name, prior in priors.items():
            if isinstance(prior, dist.ImproperUniform):
                raise ValueError(f"the prior of {name} is improper, so that the model has no evidence")
        here = frame(density, find(density, fit.runs, key_modes), fit.runs)
        log_density = partial(_batched, partial(_log_densities, density, fit.runs, here))
        sites = {name: jnp.asarray(values) for name, values in fit.draws.items()}
        draws = np.asarray(_coordinates(density, sites, here))
        bridged = bridge(_generator(keys[0]), log_density, draws)
        weighted = _weighted(key_modes, keys[1], density, fit.runs, here)
        values = _batched(partial(_values, density, here), weighted.points)
        laplace = log_density(np.zeros((1, density.size)))[0] + density.size / 2 * np.log(2 * np.pi)
        changes = _sensitivity(priors, values, weighted)
        opinion = tempered(key_third, density, fit.runs) if third else None
        estimate, k = weighted.estimate, weighted.pareto_k
    return Evidence(fit, bridged, estimate, k, float(laplace), priors, changes, opinion)


def first_look(key: Array, density: Density, runs: Runs) -> Weighted:
    """What importance sampling alone says, which takes a second and no fit, and has nothing beside it to agree with."""
    with parallel.workbench():
        key_modes, key_weights = random.split(key)
        here = frame(density, find(density, runs, key_modes), runs)
        return _weighted(key_modes, key_weights, density, runs, here)


def _weighted(key_modes: Array, key_weights: Array, density: Density, runs: Runs, here: Frame) -> Weighted:
    """Draws of a mixture that begins at the modes, with their weights."""
    rng = _generator(key_weights)
    log_density = partial(_batched, partial(_log_densities, density, runs, here))
    return importance(rng, log_density, around(rng, *every_mode(density, runs, key_modes, here)))


def _generator(key: Array) -> np.random.Generator:
    return np.random.default_rng(np.asarray(random.key_data(key)))


@partial(jax.jit, static_argnums=0)
def _log_densities(density: Density, runs: Runs, here: Frame, points: Array) -> Array:
    """The log posterior, not normalised, at coordinates of a frame, (points,)."""
    volume = jnp.log(jnp.diagonal(here.root)).sum()

    def one(point):
        return density.log_posterior(here.position + here.root @ point, runs, here.chart) + volume

    return jax.vmap(one)(points)


@partial(jax.jit, static_argnums=0)
def _values(density: Density, here: Frame, points: Array) -> dict[str, Array]:
    """What levels share at coordinates of a frame, site -> (points,)."""

    def one(point):
        values = density.constrain(here.position + here.root @ point, here.chart)
        return {name: value for name, value in values.items() if not name.endswith("_raw")}

    return jax.vmap(one)(points)


@partial(jax.jit, static_argnums=0)
def _coordinates(density: Density, draws: dict[str, Array], here: Frame) -> Array:
    """The coordinates in a frame of draws, site -> (chains, draws, ...), (chains, draws, size)."""

    def one(values):
        vector = density.unconstrain(density.with_raw(values))
        return solve_triangular(here.root, density.recentre(vector, here.chart) - here.position, lower=True)

    return jax.vmap(jax.vmap(one))(draws)


def _batched(function, points: np.ndarray):
    """A function of points, evaluated so many at a time that it is compiled once."""
    padded = np.concatenate([points, np.zeros((-len(points) % BATCH, points.shape[1]))])
    found = [
        jax.device_get(function(jnp.asarray(padded[i : i + BATCH]))) for i in range(0, len(padded), BATCH)
    ]
    return jax.tree.map(lambda *parts: np.concatenate(parts)[: len(points)], *found)


# ---- What the priors have to do with it


def _sensitivity(
    priors: Mapping[str, Distribution], values: Mapping[str, np.ndarray], weighted: Weighted
) -> dict[tuple[str, ...], tuple[Estimate, Estimate]]:
    """How the evidence changes with the scale of each block of priors, from draws for the priors as they are."""
    base, found = weighted.estimate.value, {}
    for names in blocks(priors):
        changes = []
        for factor in (0.5, 2.0):
            with validation_enabled(False):
                ratio = sum(
                    np.asarray(rescaled(priors[n], factor).log_prob(values[n]))
                    - np.asarray(priors[n].log_prob(values[n]))
                    for n in names
                )
            # At the very edge of its support a prior has no density, and the draw no weight.
            changed = weighted._replace(logs=weighted.logs + np.nan_to_num(ratio)).estimate
            changes.append(changed._replace(value=changed.value - base))
        found[names] = tuple(changes)
    return found


def blocks(priors: Mapping[str, Distribution]) -> list[tuple[str, ...]]:
    """The names of priors whose scale can change, those that say the same together."""
    found: dict[tuple, list[str]] = {}
    for name, prior in priors.items():
        if "scale" in prior.arg_constraints or isinstance(prior, dist.Gamma):
            told = tuple((key, float(value)) for key, value in sorted(prior.get_args().items()))
            found.setdefault((type(prior), told), []).append(name)
    return [tuple(names) for names in found.values()]


def rescaled(prior: Distribution, factor: float) -> Distribution:
    """The prior with another scale; of a gamma distribution, with another standard deviation about the same mean."""
    told = prior.get_args()
    if isinstance(prior, dist.Gamma):
        return dist.Gamma(told["concentration"] / factor**2, told["rate"] / factor**2)
    return type(prior)(**{**told, "scale": told["scale"] * factor})
