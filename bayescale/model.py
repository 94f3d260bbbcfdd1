"""Model: law, noise and pooling as one NumPyro model, the only likelihood there is."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
from jax import Array
from jax.scipy.special import expit, logit
from jax.typing import ArrayLike
from numpyro.distributions import Distribution

from bayescale.law import Law
from bayescale.nesting import above, nested
from bayescale.noise import Noise, unsure
from bayescale.pooling import Effect, Local, Pooling, deviations, shifted, unshifted
from bayescale.runs import Runs

EFFECTS = (
    "run",
    "model",
    "size",
)  # the factors whose repeated levels share a shock unless the user says otherwise


@dataclass(frozen=True)
class Model:
    """A law, its noise, and what groups of runs share. Callable as a NumPyro model: `model(runs)`.

    Args:
        law: the mean of the response.
        noise: how responses scatter about it.
        pooling: the parameters that differ between the levels of factors; factors may cross.
        effects: the shocks that groups of runs share; by default those of the factors run, model and size whose
            levels repeat in the table. Give an empty tuple for none.

    Raises:
        ValueError: the parts do not fit together.
    """

    law: Law
    noise: Noise
    pooling: tuple[Pooling, ...] = ()
    effects: tuple[Effect, ...] | None = None

    def __post_init__(self):
        object.__setattr__(self, "pooling", tuple(self.pooling))
        if self.effects is not None:
            object.__setattr__(self, "effects", tuple(self.effects))
        if self.law.response != self.noise.response:
            raise ValueError(
                f"law {self.law.name} is of {self.law.response} and {self.noise.name} noise of {self.noise.response}"
            )
        if clash := set(self.law.parameters) & set(self.noise.parameters):
            raise ValueError(
                f"law {self.law.name} and {self.noise.name} noise both have {', '.join(sorted(clash))}"
            )
        for pooling in self.pooling:
            for parameter in pooling.vary:
                if parameter not in self.law.parameters:
                    raise ValueError(
                        f"{parameter} cannot vary by {pooling.by}: law {self.law.name} has the parameters "
                        f"{', '.join(self.law.parameters)}"
                    )
        pairs = [(p, pooling.by) for pooling in self.pooling for p in pooling.vary]
        if len(set(pairs)) < len(pairs):
            raise ValueError("a parameter varies twice by the same factor; name it once")

        priors = dict(self.priors)
        for by in self.factors:
            priors |= {f"the scale of {name}": prior for name, prior in self.priors_of_scales(by).items()}
        for name, prior in priors.items():
            if shape := prior.shape():
                raise ValueError(f"the prior of {name} is of the shape {shape}; a parameter is one number")
        names = [effect.by for effect in self.effects or ()]
        if len(set(names)) < len(names):
            raise ValueError("two effects are by the same factor; name it once")

    def replace(self, **changes) -> "Model":
        """The model with some of its fields changed."""
        return replace(self, **changes)

    @property
    def priors(self) -> dict[str, Distribution]:
        """The priors of the parameters of the law and of the noise, relative to the reference run."""
        return {**self.law.priors, **self.noise.priors}

    @property
    def varying(self) -> dict[str, tuple[str, ...]]:
        """The parameters that vary, each with the factors it varies by."""
        found: dict[str, tuple[str, ...]] = {}
        for pooling in self.pooling:
            for parameter in pooling.vary:
                found[parameter] = (*found.get(parameter, ()), pooling.by)
        return found

    def specialise(self, runs: Runs) -> "Model":
        """The model as it will be fitted to these runs: with effects and steps chosen, and checked against the table.

        Raises:
            ValueError: a column or factor that the model needs is not in the table, is not positive, or has
                too few levels; or there are fewer runs than parameters.
        """
        if self.law.response != runs.kind:
            raise ValueError(
                f"{runs.source}: the response is {runs.kind}, and law {self.law.name} is of {self.law.response}"
            )
        for column in (*self.law.covariates, *self.noise.covariates):
            if column not in runs.columns:
                raise ValueError(
                    f"{runs.source}: {self.law.name} needs the column {column}; there are {', '.join(runs.columns)}"
                )
            if column in self.law.absolute:
                _within(runs, column, self.law)
            elif not jnp.isfinite(runs.reference[column]):
                raise ValueError(
                    f"{runs.source}: column {column} has values that are not positive; a law cannot use it"
                )
        if self.noise.counts and np.any(
            (np.asarray(runs.response) % 1 != 0) | (np.asarray(runs.columns["trials"]) % 1 != 0)
        ):
            raise ValueError(
                f"{runs.source}: there are averages and not counts of successes, which {self.noise.name} noise is of; "
                "use average noise"
            )
        noise = self.noise.settled(runs)
        model = self if noise is self.noise else self.replace(noise=noise)
        model = model if model.effects is not None else model.replace(effects=repeated(runs))
        for by in [*(p.by for p in model.pooling), *(e.by for e in model.effects or ())]:
            if by not in runs.levels:
                known = ", ".join(runs.levels) or "none; name grouping columns as factors"
                raise ValueError(f"{runs.source}: there is no factor {by}; there are {known}")
            if len(runs.levels[by]) < 2:
                raise ValueError(
                    f"{runs.source}: factor {by} has one level, {runs.levels[by][0]}; nothing can vary by it"
                )
        needed = len(self.law.parameters)
        if len(runs) < needed:
            raise ValueError(
                f"{runs.source}: {len(runs)} runs cannot teach the {needed} parameters of {self.law.name} "
                f"({', '.join(self.law.parameters)}); add runs or choose a law with fewer"
            )
        return model

    def __call__(self, runs: Runs, local: Mapping[str, Local] | None = None) -> None:
        """The NumPyro model of these runs; `response` is its observed site.

        Args:
            runs: the table; with `response=None` responses are drawn.
            local: for each factor what the data say of its levels, which changes what is sampled and not its
                distribution; see `deviations`.
        """
        parameters = {name: numpyro.sample(name, prior) for name, prior in self.priors.items()}
        scales: dict[str, Array] = {}

        def scales_of(by: str) -> Array:
            if by not in scales:
                priors = self.priors_of_scales(by)
                drawn = [numpyro.sample(f"{name}_scale", priors[name]) for name in self.factors[by]]
                scales[by] = jnp.stack(drawn)
            return scales[by]

        shifts: dict[str, Array] = {}
        for by in self.outermost_first(local):
            centre, known = self.about(by, local, scales_of, shifts, parameters)
            shifts[by] = deviations(by, scales_of(by), len(runs.levels[by]), centre=centre, local=known)
            for name, shift in zip(self.factors[by], shifts[by].T, strict=True):
                numpyro.deterministic(name, shift)
        mean = self.expected(runs, parameters, shifts)
        with numpyro.handlers.scale(scale=runs.weight):
            numpyro.sample("response", self.noise(mean, runs, parameters), obs=runs.response)

    def expected(self, runs: Runs, parameters: Mapping[str, ArrayLike], shifts: Mapping[str, Array]) -> Array:
        """The mean response, (runs,), where levels deviate by `shifts`, factor -> (levels, deviations)."""
        own, shock = dict(parameters), 0.0
        for by, names in self.factors.items():
            for name, shift in zip(names, shifts[by].T, strict=True):
                of_run = shift[runs.factors[by]]
                if name == effect_of(by):
                    shock += of_run
                else:
                    p = name.removesuffix(varies_by(by))
                    own[p] = shifted(self.law.priors[p], own[p], of_run, self.law.response)
        return shocked(self.mean(runs, own), shock, self.law.response)

    def outermost_first(self, local: Mapping[str, Local] | None) -> list[str]:
        """The factors, those before that others are within."""
        return sorted(self.factors, key=lambda by: len(local[by].within) if local else 0)

    def about(
        self,
        by: str,
        local: Mapping[str, Local] | None,
        scales_of: Callable[[str], Array],
        shifts: Mapping[str, Array],
        parameters: Mapping[str, ArrayLike],
    ) -> tuple[Array, Local | None]:
        """What the deviations of a factor are measured from, and what the data say of its levels.

        Args:
            by: the factor.
            local: for each factor what the data say of its levels alone.
            scales_of: the scales of the deviations of a factor, (deviations,).
            shifts: the deviations of the factors before it, factor -> (levels, deviations).
            parameters: what all levels have in common.

        Returns:
            The centre, (deviations,), or (levels, deviations) of levels within levels.
        """
        centre = self.centre(by, parameters)
        if not local:
            return centre, None
        names, centre = self._deviating(by), centre * local[by].moves
        for outer, index in local[by].within.items():
            places = jnp.array([names.index(p) for p in self._deviating(outer)])
            centre = (
                jnp.broadcast_to(centre, (len(index), len(names))).at[:, places].add(shifts[outer][index])
            )
        for inner, known in local.items():
            if by in known.within:
                places = [self._deviating(inner).index(p) for p in names]
                levels = len(local[by].estimate)
                own = scales_of(inner), self.centre(inner, parameters)
                return centre, above(known, *own, places, known.within[by], levels)
        return centre, local[by]

    def _deviating(self, by: str) -> tuple[str, ...]:
        """What deviates by a factor: parameters, and "" for its shocks."""
        own = (name.removesuffix(varies_by(by)) for name in self.factors[by])
        return tuple("" if name == effect_of(by) else name for name in own)

    def nested(self, runs: Runs) -> dict[str, dict[str, np.ndarray]]:
        """The factors of this table that are within others; see `nesting.nested`."""
        return nested({by: self._deviating(by) for by in self.factors}, runs)

    @property
    def factors(self) -> dict[str, tuple[str, ...]]:
        """The factors whose levels deviate, each with the names of its deviations."""
        found: dict[str, tuple[str, ...]] = {}
        for pooling in self.pooling:
            names = tuple(p + varies_by(pooling.by) for p in pooling.vary)
            found[pooling.by] = found.get(pooling.by, ()) + names
        for effect in self.effects or ():
            found[effect.by] = (*found.get(effect.by, ()), effect_of(effect.by))
        return found

    def priors_of_scales(self, by: str) -> dict[str, Distribution]:
        """The prior of the scale of each deviation of one factor."""
        priors = {
            p + varies_by(by): pooling.prior_of_scale(p, self.law.spread)
            for pooling in self.pooling
            if pooling.by == by
            for p in pooling.vary
        }
        effects = {
            effect_of(by): e.prior_of_scale(self.law.response) for e in self.effects or () if e.by == by
        }
        return priors | effects

    def centre(self, by: str, parameters: Mapping[str, ArrayLike]) -> Array:
        """What the deviations of one factor are measured from, (parameters,)."""
        varying = [p for pooling in self.pooling if pooling.by == by for p in pooling.vary]
        centre = [unshifted(self.law.priors[p], parameters[p], self.law.response) for p in varying]
        return jnp.stack(centre + [jnp.zeros(())] * (len(self.factors[by]) - len(varying)))

    def mean(self, runs: Runs, parameters: Mapping[str, ArrayLike]) -> Array:
        """The mean response, (runs,), in natural units, of parameters relative to the reference run."""
        mean = runs.unit * self.law(self.law.relative(runs.columns, runs.reference), parameters)
        return jnp.broadcast_to(mean, jnp.broadcast_shapes(jnp.shape(mean), jnp.shape(runs.weight)))


def _within(runs: Runs, column: str, law: Law) -> None:
    """Refuse a column that a law takes as it is and cannot take."""
    low, high = law.absolute[column]
    values = np.asarray(runs.columns[column])
    if (bad := ~((values >= low) & (values <= high))).any():
        raise ValueError(
            f"{runs.source}: column {column} has {values[bad][0]:g}; law {law.name} takes it as it is, from {low:g} to "
            f"{high:g}"
        )


def varies_by(by: str) -> str:
    """What is added to the name of a parameter for its deviations by a factor."""
    return f"_by_{by}"


def effect_of(by: str) -> str:
    """The name of the shocks of a factor."""
    return f"{by}_effect"


def shocked(mean: Array, shock: ArrayLike, response: str) -> Array:
    """The mean response moved by a shock on the log loss, or on the logit of success."""
    return mean * jnp.exp(shock) if response == "loss" else expit(logit(unsure(mean)) + shock)


def repeated(runs: Runs) -> tuple[Effect, ...]:
    """The effects of the factors run, model and size whose levels repeat in the table.

    A factor counts where at least half of the runs share their level with another run and there are three levels
    or more: with fewer, nothing is learned of the scale of the shocks. Of factors that group the runs
    alike, the first stands for all.
    """
    effects, groupings = [], []
    for by in EFFECTS:
        if by not in runs.factors:
            continue
        index = jax.device_get(runs.factors[by])
        counts = np.bincount(index, minlength=len(runs.levels[by]))  # with JAX each length would be compiled
        if (counts > 0).sum() < 3 or (counts[index] > 1).mean() < 0.5:
            continue
        last = dict(zip(index.tolist(), range(len(index)), strict=True))
        grouping = tuple(last[i] for i in index.tolist())
        if grouping not in groupings:
            effects.append(Effect(by))
            groupings.append(grouping)
    return tuple(effects)
