"""The log posterior of a model as a function of one flat, unconstrained vector."""

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jax import Array, random
from jax.typing import ArrayLike
from numpyro import handlers
from numpyro.distributions import Distribution, biject_to, constraints
from numpyro.distributions.distribution import validation_enabled
from numpyro.distributions.transforms import Transform

from bayescale.infer import chart as charts
from bayescale.infer import lean as leaning
from bayescale.infer.chart import Chart
from bayescale.model import Model, varies_by
from bayescale.pooling import Local, conditional
from bayescale.runs import Runs

STANDARD: Distribution = dist.Normal()  # the prior of each raw deviation


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
        priors = dict(model.priors)
        for by in model.factors:
            priors |= {f"{name}_scale": prior for name, prior in model.priors_of_scales(by).items()}
        shapes: dict[str, tuple[int, ...]] = {}
        runs = runs.replace(weight=np.ones(len(runs)))  # NumPyro refuses a weight of 0

        def look():  # only the shapes are wanted, so nothing is computed
            with validation_enabled(False):
                trace = handlers.trace(handlers.seed(model, random.key(0))).get_trace(runs)
            for name, site in trace.items():
                if site["type"] == "sample" and not site["is_observed"]:
                    shapes[name] = jnp.shape(site["value"])

        jax.eval_shape(look)
        sites, start = [], 0
        for name, shape in shapes.items():
            prior = priors.get(name, STANDARD)
            sites.append(Site(name, shape, start, math.prod(shape), prior))
            start += sites[-1].size
        return cls(model, tuple(sites))

    @property
    def size(self) -> int:
        """The length of the flat vector."""
        return sum(site.size for site in self.sites)

    def indices(self, *endings: str) -> np.ndarray:
        """The places in the flat vector of the sites whose names end so."""
        places = [np.arange(s.start, s.start + s.size) for s in self.sites if s.name.endswith(endings)]
        return np.concatenate([np.zeros(0, int), *places])

    @partial(jax.jit, static_argnums=0)
    def start(self, shared: Mapping[str, Array]) -> Array:
        """A flat vector of these values, scales in the middle of their priors, and no deviations."""
        values = dict(shared)
        for s in self.sites:
            if s.name.endswith("_scale"):
                values[s.name] = s.prior.icdf(0.5)
            elif s.name.endswith("_raw"):
                values[s.name] = jnp.zeros(s.shape)
        return self.unconstrain(values)

    def rescale(self, vector: Array, places: np.ndarray, to: Array) -> Array:
        """The flat vector with other scales at `places` and the same deviations."""
        moved = vector.at[places].set(to)
        before, after = self.constrain(vector), self.constrain(moved)
        for by in self.model.factors:
            raw = before[f"{by}_raw"] * self.scales(by, before) / self.scales(by, after)
            moved = moved.at[self.places(f"{by}_raw")].set(raw.ravel())
        return moved

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

    def constrain(self, vector: Array, chart: Chart | None = None) -> dict[str, Array]:
        """The values of the sites at a flat vector."""
        return self._constrain(vector, chart)[0]

    @partial(jax.jit, static_argnums=0)
    def _constrain(self, vector: Array, chart: Chart | None) -> tuple[dict[str, Array], Array]:
        """The values of the sites, and the logarithm of the volume that a unit of the flat vector takes up there."""
        parts = jnp.split(vector, [s.start for s in self.sites[1:]])
        raw = {s.name: part.reshape(s.shape) for s, part in zip(self.sites, parts, strict=True)}
        values, volume = {}, jnp.zeros(())
        if chart is not None and chart.anchor:
            own = charts.own_amplitude(self.model)
            values, volume = charts.to_parameters(self.model.law, chart, own, raw)
        for s in self.sites:
            if s.name not in values:
                values[s.name] = jnp.asarray(s.transform(raw[s.name]))
                volume += jnp.sum(s.transform.log_abs_det_jacobian(raw[s.name], values[s.name]))
        if chart is not None and chart.lean is not None:
            moved = leaning.shift(chart.lean, values)
            values["threshold"], volume = values["threshold"] * jnp.exp(moved), volume + moved
            wider = leaning.widening(chart.lean, values)
            for name in self._scales_of_thresholds():
                values[name], volume = values[name] * jnp.exp(wider), volume + wider
        return values, volume

    def _scales_of_thresholds(self) -> list[str]:
        """The scales that lean where thresholds do."""
        names = [f"threshold{varies_by(by)}" for by in self.model.factors]
        scales = {f"{name}_scale" for name in names}
        return [s.name for s in self.sites if s.name in scales and s.prior.support is constraints.positive]

    def places(self, name: str) -> np.ndarray:
        """The places in the flat vector of a site."""
        return next(np.arange(s.start, s.start + s.size) for s in self.sites if s.name == name)

    def place(self, name: str) -> int:
        """The place in the flat vector of a site of one number."""
        return int(self.places(name)[0])

    def _levels(
        self, values: Mapping[str, Array], vector: Array, chart: Chart | None
    ) -> dict[str, Local] | None:
        """What the data say of each level, at a flat vector and the values there.

        They say it the louder the smaller the noise. And where floor and slopes move at the loss of the mode, the
        amplitude of every level moves along.
        """
        if chart is None:
            return None
        centres, louder = chart.centre, jnp.ones(())
        own = charts.own_amplitude(self.model)
        if chart.anchor and own is not None:
            coordinate = vector[self.place(charts.loss_place(self.model.law))]
            held = charts.at_loss(self.model.law, own, coordinate, values)
            centres = {by: self.model.centre(by, held) for by in chart.levels}
        if chart.sigma is not None:
            louder = (chart.sigma / values["sigma"]) ** 2
        levels = {
            by: known._replace(
                estimate=known.estimate + centres[by] - chart.centre[by], precision=known.precision * louder
            )
            for by, known in chart.levels.items()
        }
        if chart.lean is None:
            return levels
        found = {}
        for by, known in levels.items():
            names = self.model.factors[by]
            threshold, slope = (
                names.index(name) if (name := p + varies_by(by)) in names else None
                for p in ("threshold", "slope")
            )
            if threshold is not None:
                known = leaning.turned(chart.lean, values, known, threshold, slope)
            found[by] = known
        return found

    def with_raw(self, values: Mapping[str, Array]) -> dict[str, Array]:
        """The values of the sites, from those that `values` returns: deviations become raw deviations."""
        found = dict(values)
        for by, names in self.model.factors.items():
            deviations = jnp.stack([values[name] for name in names], axis=-1)
            found[f"{by}_raw"] = deviations / self.scales(by, values)
        return found

    def unconstrain(self, values: Mapping[str, ArrayLike]) -> Array:
        """The flat vector of values of the sites."""
        return jnp.concatenate([jnp.ravel(s.transform.inv(jnp.asarray(values[s.name]))) for s in self.sites])

    @partial(jax.jit, static_argnums=(0, 2))
    def prior_draws(self, key: Array, count: int) -> Array:
        """Flat vectors drawn from the prior, (count, size), the deviations of levels at zero."""
        families = self._families()
        values = {s.name: jnp.zeros((count, *s.shape)) for s in self.sites}
        for key, (names, prior) in zip(random.split(key, len(families)), families, strict=True):  # noqa: B020
            if len(names) == 1:
                values[names[0]] = jnp.asarray(prior.sample(key, (count,)))
                continue
            keys = random.split(key, len(names))
            drawn = jax.vmap(lambda one, key: one.sample(key, (count,)))(prior, keys)
            values |= dict(zip(names, drawn, strict=True))
        return jax.vmap(self.unconstrain)(values)

    def _families(self) -> list[tuple[list[str], Distribution]]:
        """The priors of what levels share, those of one family stacked: there is much less to compile.

        What is not NumPyro's or ours may not go through `jax.tree`, and stays alone.
        """
        families = defaultdict(list)
        for s in self.sites:
            if s.shape == ():
                known = type(s.prior).__module__.startswith(
                    ("numpyro.distributions.continuous", "bayescale.")
                )
                families[jax.tree.structure(s.prior) if known else s.name].append(s)
        return [
            (
                [s.name for s in alike],
                jax.tree.map(lambda *numbers: np.array(numbers), *[s.prior for s in alike]),
            )
            if len(alike) > 1
            else ([alike[0].name], alike[0].prior)
            for alike in families.values()
        ]

    @partial(jax.jit, static_argnums=0)  # traced once, however many functions it is compiled into
    def log_posterior(self, vector: Array, runs: Runs, chart: Chart | None = None) -> Array:
        """Log prior and log likelihood, with the Jacobian of the transforms, of a flat vector."""
        values, volume = self._constrain(vector, chart)
        total = volume + self._log_shared(values)
        alone = {s.name for s in self.sites if s.shape == ()}
        with validation_enabled(False):
            for name, site in self._trace(values, runs, self._levels(values, vector, chart)).items():
                if site["type"] == "sample" and name not in alone:
                    weight = 1.0 if site["scale"] is None else site["scale"]
                    total += jnp.sum(weight * site["fn"].log_prob(site["value"]))
        return total

    @partial(jax.jit, static_argnums=0)
    def log_prior(self, vector: Array) -> Array:
        """The log prior of a flat vector, with the Jacobian of the transforms."""
        values, volume = self._constrain(vector, None)
        raw = (jnp.sum(STANDARD.log_prob(values[s.name])) for s in self.sites if s.shape != ())
        return volume + self._log_shared(values) + sum(raw)

    def _log_shared(self, values: Mapping[str, Array]) -> Array:
        """The log prior of what levels share."""
        total = jnp.zeros(())
        with validation_enabled(False):
            for names, prior in self._families():
                if len(names) == 1:
                    total += prior.log_prob(values[names[0]])
                else:
                    at = jnp.stack([values[name] for name in names])
                    total += jnp.sum(jax.vmap(lambda one, x: one.log_prob(x))(prior, at))
        return total

    @partial(jax.jit, static_argnums=0)
    def log_likelihood(self, vector: Array, runs: Runs) -> Array:
        """The weighted log likelihood of a flat vector, without any prior."""
        with validation_enabled(False):
            site = self._trace(self.constrain(vector), runs, None)["response"]
            return jnp.sum(runs.weight * site["fn"].log_prob(site["value"]))

    @partial(jax.jit, static_argnums=0)
    def values(self, vector: Array, runs: Runs, chart: Chart | None = None) -> dict[str, Array]:
        """Every site but the responses at a flat vector, the deviations of levels in place of their raw values."""
        values = self.constrain(vector, chart)
        return {
            name: site["value"]
            for name, site in self._trace(values, runs, self._levels(values, vector, chart)).items()
            if name != "response"
            and not name.endswith(("_raw", "_change"))
            and site["type"] in ("sample", "deterministic")
        }

    def _trace(self, values: Mapping[str, Array], runs: Runs, levels: dict[str, Local] | None) -> dict:
        with handlers.block(), handlers.trace() as trace, handlers.substitute(data=dict(values)):
            self.model(runs, levels)
        return trace

    def recentre(self, vector: Array, chart: Chart) -> Array:
        """The flat vector that, with `chart`, stands for what `vector` stands for without it."""
        values = self.constrain(vector)
        moved = self.unconstrain(values)
        if chart.anchor:
            own = charts.own_amplitude(self.model)
            for name, value in charts.to_coordinates(self.model.law, chart, own, values).items():
                moved = moved.at[self.place(name)].set(value)
        if chart.lean is not None:
            place = self.place("threshold")
            moved = moved.at[place].add(-leaning.shift(chart.lean, values))
            for name in self._scales_of_thresholds():
                moved = moved.at[self.place(name)].add(-leaning.widening(chart.lean, values))
        levels = self._levels(values, moved, chart)
        shifts = {by: values[f"{by}_raw"] * self.scales(by, values) for by in self.model.factors}
        for by in self.model.outermost_first(levels) if levels else ():
            scales = self.scales(by, values)
            centre, known = self.model.about(by, levels, lambda of: self.scales(of, values), shifts, values)
            assert known is not None
            mean, root = conditional(scales, centre, known)
            raw = (root.mT @ (shifts[by] - mean)[..., None])[..., 0]
            moved = moved.at[self.places(f"{by}_raw")].set(raw.ravel())
        return moved
