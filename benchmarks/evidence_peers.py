"""Nested sampling of the same models by other packages: dynesty and nautilus, as their users would call them.

Both see a cube of uniform numbers, the quantiles of the model's own priors, and its likelihood compiled by JAX, but
nothing of our coordinates, modes or derivatives.
"""

import time
from collections.abc import Callable
from functools import reduce
from importlib.util import find_spec
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpyro.distributions import Distribution
    from numpyro.distributions.transforms import Transform

    from bayescale.model import Model
    from bayescale.runs import Runs

LIVE = 500  # live points of dynesty, its default
PACKAGES = {"dynesty": "dynesty", "nautilus": "nautilus-sampler"}


class Nested(NamedTuple):
    """What one run says of the log evidence, in nats, and what it took."""

    value: float
    error: float
    evaluations: int
    seconds: float  # of processor time


class Problem(NamedTuple):
    """A model of single numbers as nested sampling wants it.

    Attributes:
        size: how many numbers.
        transform: from the unit cube to parameters, (..., size) -> (..., size).
        one: the log likelihood of parameters, (size,) -> float.
        many: of a batch, (batch, size) -> (batch,).
    """

    size: int
    transform: Callable[[np.ndarray], np.ndarray]
    one: Callable[[np.ndarray], float]
    many: Callable[[np.ndarray], np.ndarray]


def missing() -> dict[str, str]:
    """The peers that are not there, each with what to install."""
    return {name: package for name, package in PACKAGES.items() if find_spec(name) is None}


def quantile(prior: "Distribution") -> Callable[[np.ndarray], np.ndarray]:
    """The quantile function of a prior, in NumPy: it is called for every point.

    Raises:
        TypeError: a family that is not known here.
    """
    import numpyro.distributions as dist
    from scipy.special import expit, gammaincinv, ndtri

    from bayescale.priors import LogitNormal

    if isinstance(prior, dist.Gamma):
        shape, rate = float(prior.concentration), float(prior.rate)
        return lambda u: gammaincinv(shape, u) / rate
    for family, onto in ((dist.LogNormal, np.exp), (LogitNormal, expit), (dist.Normal, np.asarray)):
        if isinstance(prior, family):
            loc, scale = float(prior.loc), float(prior.scale)
            return lambda u: onto(loc + scale * ndtri(u))
    if isinstance(prior, dist.TransformedDistribution):  # by transforms that rise, such as 1 + x
        inner, rising = quantile(prior.base_dist), [in_numpy(one) for one in prior.transforms]
        return lambda u: reduce(lambda x, one: one(x), rising, inner(u))
    raise TypeError(f"there is no quantile function of {type(prior).__name__}")


def in_numpy(transform: "Transform") -> Callable[[np.ndarray], np.ndarray]:
    """The same transform in NumPy.

    Raises:
        TypeError: one that is not known here, or that does not rise.
    """
    from numpyro.distributions.transforms import AffineTransform, ExpTransform

    if isinstance(transform, ExpTransform):
        return np.exp
    if isinstance(transform, AffineTransform) and float(transform.scale) > 0:
        loc, scale = float(transform.loc), float(transform.scale)
        return lambda x: loc + scale * x
    raise TypeError(f"there is no {type(transform).__name__} in NumPy here")


def problem(model: "Model", runs: "Runs") -> Problem:
    """The same model for nested sampling; nothing in it may vary between levels."""
    import jax
    import jax.numpy as jnp

    names, quantiles = list(model.priors), [quantile(prior) for prior in model.priors.values()]

    def log_likelihood(vector):
        values = dict(zip(names, vector, strict=True))
        found = jnp.sum(model.noise(model.mean(runs, values), runs, values).log_prob(runs.response))
        return jnp.where(jnp.isfinite(found), found, -1e300)

    def transform(cube):
        return np.stack([one(cube[..., i]) for i, one in enumerate(quantiles)], axis=-1)

    one, many = jax.jit(log_likelihood), jax.jit(jax.vmap(log_likelihood))
    return Problem(len(names), transform, lambda v: float(one(v)), lambda v: np.asarray(many(v)))


def dynesty(seed: int, model: "Model", runs: "Runs", *, live: int = LIVE) -> Nested:
    """Static nested sampling by random walks, up to the default share of the evidence left."""
    import dynesty as package

    from bayescale import parallel

    with parallel.workbench():
        given = problem(model, runs)
        given.one(given.transform(np.full(given.size, 0.5)))  # compiles
        began = time.process_time()
        rng = np.random.default_rng(seed)
        sampler = package.NestedSampler(
            given.one, given.transform, given.size, nlive=live, sample="rwalk", rstate=rng
        )
        sampler.run_nested(print_progress=False)
        found = sampler.results
        seconds = time.process_time() - began
    return Nested(float(found.logz[-1]), float(found.logzerr[-1]), int(np.sum(found.ncall)), seconds)


def nautilus(seed: int, model: "Model", runs: "Runs") -> Nested:
    """Importance nested sampling with neural networks, all at its defaults, the likelihood in batches."""
    from nautilus import Sampler

    from bayescale import parallel

    with parallel.workbench():
        given = problem(model, runs)
        began = time.process_time()
        sampler = Sampler(
            given.transform, given.many, n_dim=given.size, vectorized=True, pass_dict=False, seed=seed
        )
        sampler.run(verbose=False)
        seconds = time.process_time() - began
        # Its authors give the error by the effective sample size.
        error = 1 / np.sqrt(float(sampler.n_eff))
    return Nested(float(sampler.log_z), float(error), int(sampler.n_like), seconds)


PEERS: dict[str, Callable[[int, "Model", "Runs"], Nested]] = {"dynesty": dynesty, "nautilus": nautilus}
