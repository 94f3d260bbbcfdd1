"""Evidence of small models in a fraction of a second: importance sampling that begins at the prior, without NUTS."""

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, random

from bayescale import parallel
from bayescale.fit import PARETO_K
from bayescale.infer.bridge import Estimate
from bayescale.infer.density import Density
from bayescale.infer.importance import Mixture, Weighted, importance
from bayescale.model import Model
from bayescale.runs import Runs

BATCH = 4096  # points that are evaluated at once
PRIOR = 2 * BATCH  # draws of the prior to begin with
COMPONENTS, ENOUGH = 6, 5  # of the mixture that begins; effective draws for each dimension that it is made of
NARROW = 0.5  # a component, beside the scatter of all
ROUGH, ENDED = 2 * BATCH, 8 * BATCH  # draws of a first look, and the most there are
PRECISE, ROUNDS, ROUGH_ROUNDS = 0.05, 5, 4  # nats of error, which no verdict hangs on; rounds of adaptation


@dataclass(frozen=True, eq=False)
class Quick:
    """The evidence for a model, and its posterior as weighted draws.

    Attributes:
        estimate: the log evidence, in nats.
        pareto_k: of the weights; above 0.7 the estimate is not to be trusted.
        values: parameter -> (draws,), relative to the reference run.
        weights: of the draws, adding to 1, (draws,).
    """

    estimate: Estimate
    pareto_k: float
    values: dict[str, np.ndarray]
    weights: np.ndarray

    @property
    def precise(self) -> bool:
        """Whether more draws would tell nothing that matters."""
        return self.pareto_k <= PARETO_K and self.estimate.error <= PRECISE

    def quantiles(
        self, drawn: np.ndarray, probabilities: tuple[float, ...] = (0.05, 0.5, 0.95)
    ) -> np.ndarray:
        """The weighted quantiles of what is a number for each draw, (probabilities,)."""
        order = np.argsort(drawn)
        reached = np.cumsum(self.weights[order])
        return drawn[order][np.minimum(np.searchsorted(reached, probabilities), len(drawn) - 1)]


def quick_evidence(key: Array, model: Model, runs: Runs, *, rough: bool = False) -> Quick:
    """The evidence for a model without pooling and effects, of a few parameters.

    The same integral as `log_evidence` finds, by the second of its two estimators alone, which begins at draws of the
    prior in place of modes. Nothing else is there to agree with: its own error and Pareto-k are all that warns.

    Args:
        key: the random key.
        model: the model; it has no levels with parameters or shocks of their own.
        runs: the table.
        rough: take a few thousand draws, which tell by how much a model is behind, and no more where they do not do.

    Raises:
        ValueError: the model has levels that deviate, or does not suit the table.
    """
    model = model.specialise(runs)
    if model.factors:
        raise ValueError(
            f"the parameters differ by {', '.join(model.factors)}, which takes more than draws of the prior; use "
            "log_evidence"
        )
    with parallel.workbench():
        density = Density.of(model, runs)
        rng = np.random.default_rng(np.asarray(random.key_data(key)))

        def log_density(points: np.ndarray) -> np.ndarray:
            padded = np.concatenate([points, np.zeros((-len(points) % BATCH, density.size))])
            batches = [
                _log_posteriors(density, runs, jnp.asarray(padded[i : i + BATCH]))
                for i in range(0, len(padded), BATCH)
            ]
            return np.concatenate(jax.device_get(batches))[: len(points)]

        begin = _begin(rng, np.asarray(density.prior_draws(key, PRIOR)), density, runs)
        most = ROUGH if rough else ENDED
        found = importance(
            rng, log_density, begin, precise=PRECISE, rounds=ROUGH_ROUNDS if rough else ROUNDS, most=most
        )
        if found.pareto_k > PARETO_K and not rough:  # an odd shape, which takes longer to adapt to
            found = importance(rng, log_density, begin, precise=PRECISE, most=2 * ENDED)
        values = jax.device_get(_values(density, jnp.asarray(found.points)))
    return Quick(found.estimate, found.pareto_k, values, _shares(found))


@partial(jax.jit, static_argnums=0)
def _log_posteriors(density: Density, runs: Runs, points: Array) -> Array:
    return jax.vmap(lambda point: density.log_posterior(point, runs))(points)


@partial(jax.jit, static_argnums=0)
def _log_likelihoods(density: Density, runs: Runs, points: Array) -> Array:
    return jax.vmap(lambda point: density.log_likelihood(point, runs))(points)


@partial(jax.jit, static_argnums=0)
def _values(density: Density, points: Array) -> dict[str, Array]:
    return jax.vmap(density.constrain)(points)


def _begin(rng: np.random.Generator, points: np.ndarray, density: Density, runs: Runs) -> Mixture:
    """A mixture about some of the draws of the prior that the data favour."""
    logs = np.asarray(_log_likelihoods(density, runs, jnp.asarray(points)))
    logs = np.nan_to_num(logs, nan=-np.inf)
    size = points.shape[1]
    power = 1.0
    while True:  # a power of the likelihood at which enough of the draws count
        weights = np.exp(power * (logs - logs.max()))
        weights /= weights.sum()
        if 1 / np.sum(weights**2) >= ENOUGH * (size + 1):
            break
        power /= 2
    mean = weights @ points
    aside = points - mean
    scale = (aside * weights[:, None]).T @ aside + 1e-9 * np.eye(size)
    root = np.linalg.cholesky(scale) * NARROW
    chosen = points[rng.choice(len(points), COMPONENTS, p=weights)]
    share = np.full(COMPONENTS + 1, 1 / (COMPONENTS + 1))
    location = np.concatenate([mean[None], chosen])
    roots = np.concatenate([root[None] / NARROW, np.broadcast_to(root, (COMPONENTS, size, size))])
    return Mixture(share, location, roots, max(5.0, float(size)))


def _shares(found: Weighted) -> np.ndarray:
    weights = np.exp(found.logs - found.logs.max())
    return weights / weights.sum()
