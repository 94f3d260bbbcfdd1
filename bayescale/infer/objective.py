"""What a refit minimises: the negative log likelihood of a model, with or without priors, and its two derivatives."""

from dataclasses import dataclass
from functools import cached_property, lru_cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jax import Array, lax
from numpyro.distributions import constraints
from numpyro.distributions.distribution import validation_enabled

from bayescale.infer import terms
from bayescale.infer.density import Density
from bayescale.infer.powers import as_exponentials
from bayescale.infer.terms import Look
from bayescale.model import Model
from bayescale.runs import Runs

NEWTONS = 20  # steps to the scale, which is within a factor of 1.5 at the start


@dataclass(frozen=True)
class Objective:
    """The negative log likelihood of a model, in nats, as a function of what is free.

    Args:
        density: the density of the opened model: the settings of its noise are sites, and are held.
        priors: whether the priors count.
        settings: the sites that are settings of the noise, such as Huber's delta.
        held: the sites that are held where the base vector has them, settings among them.
    """

    density: Density
    priors: bool
    settings: tuple[str, ...]
    held: tuple[str, ...]

    @classmethod
    def of(cls, model: Model, runs: Runs, *, priors: bool = False) -> "Objective":
        """The objective of refits of a model.

        The scale of separable noise is held unless the priors count: it has no say in the rest, and follows from it.
        Where levels have deviations of their own, the scales of noise and levels are held: the joint mode would be
        worthless.

        Raises:
            ValueError: levels have deviations and priors do not count.
        """
        if model.factors and not priors:
            raise ValueError("levels that share nothing but a likelihood have no scale; fit them with priors")
        density = Density.of(opened(model, priors), runs)
        held = settings = tuple(model.noise.settings)
        if model.factors:
            scales = (s.name for s in density.sites if s.name.endswith("_scale"))
            held += (*scales, *model.noise.parameters)
        elif model.noise.separable and not priors:
            held += ("sigma",)
        return cls(density, priors, settings, held)

    @cached_property
    def places(self) -> np.ndarray:
        """Where what is free stands in the flat vector of the density."""
        return np.concatenate(
            [self.density.places(s.name) for s in self.density.sites if s.name not in self.held]
        )

    @property
    def scale_follows(self) -> bool:
        """Whether the scale of the noise is found once everything else is."""
        return "sigma" in self.held and not self.density.model.factors

    def look(self, free: Array, base: Array, runs: Runs, *, straight: bool = False) -> Look:
        """The objective at a point, in the precision of `free`.

        Of separable noise it is measured from a law that goes through every run, and so it is not negative.

        Args:
            free: (free,).
            base: a flat vector of the density, (size,), which has what is held.
            runs: the table.
            straight: whether the second derivatives of a law may be left out where they cost much.
        """
        kind = free.dtype
        base, runs = base.astype(kind), jax.tree.map(lambda leaf: _as(leaf, kind), runs)
        with validation_enabled(False):
            found = self._likelihood(free, base, runs, straight)
            if self.scale_follows:
                best = self._log_prob(base, jnp.asarray(runs.response), runs)
                found = found._replace(value=found.value + jnp.sum(runs.weight * best))
            if self.priors:
                found = Look(*(a + b for a, b in zip(found, self._prior(free, base), strict=True)))
        return Look(*(part.astype(kind) for part in found))

    def _prior(self, free: Array, base: Array) -> Look:
        """The negative log prior alone."""

        def prior(vector):
            return -self.density.log_prior(base.at[self.places].set(vector))

        if self.density.model.factors:
            return differentiated(prior, free)
        # The priors of parameters do not touch each other, so that a step common to all shows what each one bends.
        slope, bend = jax.jvp(jax.grad(prior), (free,), (jnp.ones_like(free),))
        return Look(prior(free), slope, jnp.diag(bend))

    def _likelihood(self, free: Array, base: Array, runs: Runs, straight: bool) -> Look:
        """The likelihood alone: what the mean depends on and what the noise does are kept apart."""
        model, noisy = self.density.model, self._noisy
        law, scatter = self.places[~noisy], self.places[noisy]

        def log_prob(mean, scattered):
            return self._log_prob(base.at[scatter].set(scattered), mean, runs)

        of_law, of_noise, weight = free[~noisy], free[noisy], jnp.asarray(runs.weight)
        if model.factors:

            def mean_at(vector):
                return self.mean(base.at[law].set(vector), runs)

            found = terms.look_at_many(mean_at, of_law, of_noise, log_prob, weight)
        elif terms.known(model.law):

            def linear(vector):
                return terms.logs(model.law, self.density.constrain(base.at[law].set(vector)))

            seen = terms.look(model.law, runs, linear(of_law), of_noise, log_prob)
            found = terms.pulled_back(linear, of_law, seen)
        else:
            sites = [s for s in self.density.sites if s.start in law]

            def mean(*numbers):
                values = {s.name: s.transform(number) for s, number in zip(sites, numbers, strict=True)}
                return model.expected(runs, values, {})

            found = terms.look_at_any(mean, tuple(of_law), of_noise, log_prob, weight, straight=straight)
        back = np.argsort(np.concatenate([np.flatnonzero(~noisy), np.flatnonzero(noisy)]))
        return Look(found.value, found.gradient[back], found.hessian[back][:, back])

    def mean(self, vector: Array, runs: Runs) -> Array:
        """The mean responses at a flat vector, (runs,)."""
        values, model = self.density.constrain(vector), self.density.model
        shifts = {by: values[f"{by}_raw"] * self.density.scales(by, values) for by in model.factors}
        return model.expected(runs, values, shifts)

    def covariance(self, free: Array, base: Array, runs: Runs, times: Array, units: Array) -> Array:
        """The sandwich covariance of an estimate, (free, free), where runs of one unit depend on each other.

        Args:
            free: the estimate, (free,).
            base: a flat vector, (size,).
            runs: the table, as the estimate was found from it.
            times: how often each run is in it, (runs,): a unit that was drawn twice is two units.
            units: the index of the unit of each run, (runs,).

        Source:
            Cameron and Miller 2015, doi:10.3368/jhr.50.2.317, equation 11 with the correction that follows it.
        """
        once = jnp.asarray(runs.weight) / jnp.where(times > 0, times, 1)

        def of_run(vector):
            whole = base.at[self.places].set(vector)
            with validation_enabled(False):
                return -once * self._log_prob(whole, self.mean(whole, runs), runs)

        scores = jax.ops.segment_sum(jax.jacfwd(of_run)(free), units, num_segments=len(runs))
        drawn = jnp.maximum(jax.ops.segment_max(times, units, num_segments=len(runs)), 0)
        bread = jnp.linalg.inv(self.look(free, base, runs).hessian)
        groups, count = jnp.sum(drawn), jnp.sum(times)
        correction = groups / (groups - 1) * (count - 1) / (count - len(free))
        return correction * bread @ ((scores * drawn[:, None]).T @ scores) @ bread

    @cached_property
    def _noisy(self) -> np.ndarray:
        """Which of what is free belongs to the noise, (free,)."""
        places = [self.density.place(p) for p in self.density.model.noise.parameters]
        return np.isin(self.places, places)

    def _log_prob(self, vector: Array, mean: Array, runs: Runs) -> Array:
        """The log density of the responses about `mean`, (runs,)."""
        values = self.density.constrain(vector)
        return jnp.asarray(self.density.model.noise(mean, runs, values).log_prob(runs.response))

    @partial(jax.jit, static_argnums=0)
    def scale(self, value: Array, base: Array, runs: Runs) -> Array:
        """The log scale of separable noise that goes with a minimum: of value / sigma^2 + weight c(sigma) the least.

        Args:
            value: the objective there, for the scale that `base` holds.
            base: a flat vector, (size,).
            runs: the table, for its weight.
        """
        place, unit, total = self.density.place("sigma"), jnp.asarray(runs.unit, float), jnp.sum(runs.weight)

        def spread(log_scale):
            moved = base.at[place].set(log_scale)
            at_mean = runs.replace(response=unit)
            with validation_enabled(False):
                constant = self.density.model.noise(unit, at_mean, self.density.constrain(moved)).log_prob(
                    unit
                )
            return value * jnp.exp(2 * (base[place] - log_scale)) - total * constant

        def newton(_, log_scale):
            slope, bend = jax.grad(spread)(log_scale), jax.grad(jax.grad(spread))(log_scale)
            return log_scale - jnp.clip(slope / jnp.where(bend > 0, bend, jnp.abs(slope)), -1, 1)

        # Exact for normal noise; a law through every run has no scale at all, and 1e-30 of the one held must do.
        start = base[place] + jnp.log(jnp.maximum(2 * value / total, 1e-60)) / 2
        return jnp.asarray(lax.fori_loop(0, NEWTONS, newton, start))


def _as(leaf, kind):
    leaf = jnp.asarray(leaf)
    return leaf.astype(kind) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf


@lru_cache
def opened(model: Model, priors: bool) -> Model:
    """The model as refits take it: the settings of its noise are parameters, and its powers are exponentials.

    Where priors do not count, a floor of the loss has no bound but 0.

    That the floor lies below the least loss measured is what its prior says, not what the law does.
    """
    law = model.law.replace(mean=as_exponentials(model.law.mean))
    if not priors and law.response == "loss":
        bounded = [p for p, prior in law.priors.items() if prior.support is constraints.unit_interval]
        law = law.replace(priors={p: dist.LogNormal(0.0, 1.0) for p in bounded})
    return model.replace(law=law, noise=model.noise.opened())


def differentiated(function, at: Array) -> Look:
    """A function at a point by automatic differentiation, forward over reverse."""
    slope_of = jax.value_and_grad(function)

    def slope(point):
        value, gradient = slope_of(point)
        return gradient, (value, gradient)

    hessian, (value, gradient) = jax.jacfwd(slope, has_aux=True)(at)
    return Look(value, gradient, hessian)
