"""The log posterior of a model as a function of one flat, unconstrained vector."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import jax
import jax.numpy as jnp
from jax import Array, random
from jax.typing import ArrayLike
from numpyro import handlers
from numpyro.distributions import Distribution, biject_to
from numpyro.distributions.distribution import validation_enabled
from numpyro.distributions.transforms import Transform
from numpyro.infer.util import log_density

from bayescale.model import Model
from bayescale.pooling import Local, conditional
from bayescale.runs import Runs

Locals = Mapping[str, Local]


@dataclass(frozen=True)
class Site:
    """One sampled quantity and where it stands in the flat vector."""

    name: str
    shape: tuple[int, ...]
    start: int
    size: int
    prior: Distribution = field(compare=False)  # the model's, which the density is compared by

    @property
    def transform(self) -> Transform:
        """From the unconstrained space to the support of the prior."""
        return biject_to(self.prior.support)


@dataclass(frozen=True)
class Density:
    """The log posterior of a model of runs.

    Args:
        model: the model, with its effects chosen.
        sites: what is sampled, in the order of the flat vector.
    """

    model: Model
    sites: tuple[Site, ...]

    @classmethod
    def of(cls, model: Model, runs: Runs) -> "Density":
        """The density of a model for a table of the shape of `runs`."""
        seeded = handlers.seed(model, random.key(0))
        with validation_enabled(False):  # a draw from the prior may be far from any run
            trace = handlers.trace(seeded).get_trace(runs)
        sites, start = [], 0
        for name, site in trace.items():
            if site["type"] != "sample" or site["is_observed"]:
                continue
            shape = jnp.shape(site["value"])
            size = int(jnp.size(site["value"]))
            sites.append(Site(name, shape, start, size, site["fn"]))
            start += size
        return cls(model, tuple(sites))

    @property
    def size(self) -> int:
        """The length of the flat vector."""
        return sum(site.size for site in self.sites)

    def indices(self, *endings: str) -> Array:
        """The places in the flat vector of the sites whose names end so."""
        places = [jnp.arange(s.start, s.start + s.size) for s in self.sites if s.name.endswith(endings)]
        return jnp.concatenate([jnp.zeros(0, int), *places])

    def start(self, shared: Mapping[str, Array]) -> Array:
        """A flat vector of these values, scales in the middle of their priors, and no deviations."""
        values = dict(shared)
        for s in self.sites:
            if s.name.endswith("_scale"):
                values[s.name] = s.prior.icdf(0.5)
            elif s.name.endswith("_raw"):
                values[s.name] = jnp.zeros(s.shape)
        return self.unconstrain(values)

    def rescale(self, vector: Array, places: Array, to: Array) -> Array:
        """The flat vector with other scales at `places` and the same deviations."""
        moved = vector.at[places].set(to)
        before, after = self.constrain(vector), self.constrain(moved)
        for by in self.model.factors:
            after[f"{by}_raw"] = before[f"{by}_raw"] * self.scales(by, before) / self.scales(by, after)
        return self.unconstrain(after)

    def scales(self, by: str, values: Mapping[str, Array]) -> Array:
        """The scales of the deviations of a factor, (parameters,)."""
        return jnp.stack([values[f"{name}_scale"] for name in self.model.factors[by]])

    def log_scales(self, vector: Array) -> Array:
        """The logarithm of the scale of every deviation, summed: their Jacobian over their raw values."""
        values = self.constrain(vector)
        total = jnp.zeros(())
        for by in self.model.factors:
            total += jnp.sum(jnp.log(self.scales(by, values)) + 0 * values[f"{by}_raw"])
        return total

    def constrain(self, vector: Array) -> dict[str, Array]:
        """The values of the sites at a flat vector."""
        return {s.name: s.transform(vector[s.start : s.start + s.size].reshape(s.shape)) for s in self.sites}  # pyright: ignore[reportReturnType]

    def unconstrain(self, values: Mapping[str, ArrayLike]) -> Array:
        """The flat vector of values of the sites."""
        return jnp.concatenate([jnp.ravel(s.transform.inv(jnp.asarray(values[s.name]))) for s in self.sites])

    def prior_draws(self, key: Array, count: int) -> Array:
        """Flat vectors drawn from the prior, (count, size), the deviations of levels at zero."""

        def draw(key):
            values = {}
            for site, key in zip(self.sites, random.split(key, len(self.sites)), strict=True):  # noqa: B020
                raw = site.name.endswith("_raw")
                values[site.name] = jnp.zeros(site.shape) if raw else site.prior.sample(key)
            return self.unconstrain(values)

        return jax.vmap(draw)(random.split(key, count))

    def log_posterior(self, vector: Array, runs: Runs, local: Locals | None = None) -> Array:
        """Log prior and log likelihood, with the Jacobian of the transforms, of a flat vector."""
        values = self.constrain(vector)
        total = log_density(self.model, (runs, local), {}, values)[0]
        for s in self.sites:
            raw = vector[s.start : s.start + s.size].reshape(s.shape)
            total += jnp.sum(s.transform.log_abs_det_jacobian(raw, values[s.name]))
        return total  # pyright: ignore[reportReturnType]

    def log_likelihood(self, vector: Array, runs: Runs) -> Array:
        """The weighted log likelihood of a flat vector, without any prior."""
        trace = self._trace(self.constrain(vector), runs, None)
        site = trace["response"]
        return jnp.sum(runs.weight * site["fn"].log_prob(site["value"]))

    def values(self, vector: Array, runs: Runs, local: Locals | None = None) -> dict[str, Array]:
        """Every site but the responses at a flat vector, the deviations of levels in place of their raw values."""
        trace = self._trace(self.constrain(vector), runs, local)
        return {
            name: site["value"]
            for name, site in trace.items()
            if name != "response"
            and not name.endswith(("_raw", "_change"))
            and site["type"] in ("sample", "deterministic")
        }

    def _trace(self, values: Mapping[str, Array], runs: Runs, local: Locals | None) -> dict:
        with handlers.block(), handlers.trace() as trace, handlers.substitute(data=dict(values)):
            self.model(runs, local)
        return trace

    def recentre(self, vector: Array, local: Locals) -> Array:
        """The flat vector that, with `local`, stands for what `vector` stands for without it."""
        values = self.constrain(vector)
        for by, known in local.items():
            scales = self.scales(by, values)
            mean, root = conditional(scales, self.model.centre(by, values), known)
            values[f"{by}_raw"] = (root.mT @ (values[f"{by}_raw"] * scales - mean)[..., None])[..., 0]
        return self.unconstrain(values)
