"""Resampling: what makes one bootstrap replicate differ from the table of runs."""

from collections.abc import Mapping
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, random

from bayescale.model import Model, effect_of
from bayescale.runs import Runs

KINDS = ("pairs", "bayesian", "residual", "wild", "parametric")
SIGNS = {
    "rademacher": (-1.0, 1.0),
    "webb": (-(1.5**0.5), -1.0, -(0.5**0.5), 0.5**0.5, 1.0, 1.5**0.5),
}


@dataclass(frozen=True)
class Resampling:
    """How replicates are drawn.

    Args:
        kind: "pairs", runs with replacement; "bayesian", runs with Dirichlet weights; "residual", residuals with
            replacement; "wild", residuals with random signs, each at its run; "parametric", responses from the fit.
        cluster: the factors whose levels are drawn as a whole, of "pairs", "bayesian" and "wild" (one only). Where
            several cross, a run counts as often as its levels do together.
        signs: of "wild": "rademacher", -1 and 1; "webb", six values, for fewer than a dozen clusters.

    Raises:
        ValueError: there is no such kind, or it has no clusters.

    Source:
        Efron 1979 (pairs, residual), Rubin 1981 (Bayesian), Wu 1986 and Cameron, Gelbach and Miller 2008 (wild, by
        cluster), Webb 2023, doi:10.1111/caje.12661 (six signs), Owen 2007, doi:10.1214/07-AOAS122 (crossed).
    """

    kind: str = "pairs"
    cluster: tuple[str, ...] = ()
    signs: str = "rademacher"

    def __post_init__(self):
        object.__setattr__(self, "cluster", tuple(self.cluster))
        if self.kind not in KINDS:
            raise ValueError(f"there is no bootstrap {self.kind!r}; there are {', '.join(KINDS)}")
        if self.signs not in SIGNS:
            raise ValueError(f"there are no signs {self.signs!r}; there are {', '.join(SIGNS)}")
        if self.cluster and self.kind in ("residual", "parametric"):
            raise ValueError(
                f"a {self.kind} bootstrap takes runs to be independent and has no clusters; take pairs or wild"
            )
        if len(self.cluster) > 1 and self.kind == "wild":
            raise ValueError("a wild bootstrap has one cluster; take pairs for clusters that cross")
        if len(set(self.cluster)) < len(self.cluster):
            raise ValueError("a cluster is named twice; name it once")

    def check(self, model: Model, runs: Runs) -> None:
        """Refuse a table, or a model, that such replicates cannot be drawn of.

        Raises:
            ValueError: there is no such factor, it has one level, or responses have no residuals.
        """
        for by in self.cluster:
            if by not in runs.levels:
                known = ", ".join(runs.levels) or "none; name grouping columns as factors"
                raise ValueError(f"{runs.source}: there is no factor {by} to resample by; there are {known}")
            if len(runs.levels[by]) < 2:
                raise ValueError(f"{runs.source}: factor {by} has one level; there is nothing to resample")
        if self.kind in ("residual", "wild") and model.noise.residuals is None:
            raise ValueError(
                f"{model.noise.name} noise has no residuals to resample; take pairs or parametric"
            )

    def units(self, runs: Runs) -> list[np.ndarray]:
        """What is drawn as a whole: for each grouping the index of the unit of every run, (runs,)."""
        if not self.cluster:
            return [np.arange(len(runs))]
        return [np.asarray(runs.factors[by]).astype(np.int32) for by in self.cluster]

    def changes(self, key: Array, runs: Runs, about: "About", model: Model) -> dict[str, Array]:
        """The fields of the table that one replicate has its own of: its weights or its responses, (runs,)."""
        if self.kind in ("pairs", "bayesian"):
            weight = there = jnp.asarray(runs.weight)
            keys = random.split(key, len(about.units))
            for one, index, count in zip(keys, about.units, self.counts(runs), strict=True):
                present = jnp.zeros(count, bool).at[index].max(there > 0)
                weight = weight * self._times(one, present)[index]
            return {"weight": weight}
        if self.kind == "parametric":
            return {"response": _simulated(key, runs, about, model)}
        residual, there = about.residual, jnp.asarray(runs.weight) > 0
        if self.kind == "residual":
            order = jnp.argsort(~there, stable=True)
            # Not centred: the fit has balanced them in its own way, which is not about their mean if it is robust.
            residual = residual[order[random.randint(key, residual.shape, 0, jnp.sum(there))]]
        else:
            signs = jnp.asarray(SIGNS[self.signs])
            residual *= signs[random.randint(key, self.counts(runs), 0, signs.size)][about.units[0]]
        return {"response": _respond(about.mean, residual, model.noise.residuals)}

    def counts(self, runs: Runs) -> tuple[int, ...]:
        """How many units each grouping has."""
        return tuple(len(runs.levels[by]) for by in self.cluster) or (len(runs),)

    def _times(self, key: Array, present: Array) -> Array:
        """How often each unit is in a replicate, (units,); units whose runs have no weight are not there."""
        units = jnp.arange(len(present))
        count = jnp.sum(present)
        if self.kind == "pairs":
            order = jnp.argsort(~present, stable=True)  # those that are there come first
            drawn = order[random.randint(key, units.shape, 0, count)]
            return jnp.zeros(len(present)).at[drawn].add(jnp.where(units < count, 1.0, 0.0))
        share = jnp.where(present, random.exponential(key, units.shape), 0.0)
        return share * (count / jnp.sum(share))


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class About:
    """What replicates are drawn about.

    Attributes:
        units: see `Resampling.units`.
        mean: the mean responses of the fit, (runs,).
        residual: those of the fit, each as far as it would be had its run not pulled the law, (runs,).
        values: the values of the sites of the fit.
    """

    units: list[Array]
    mean: Array
    residual: Array
    values: dict[str, Array]


def residuals(mean: Array, runs: Runs, scale: str | None) -> Array:
    """The residuals of the responses about the mean, on the scale where the noise adds, (runs,)."""
    response = jnp.asarray(runs.response)
    if scale is None:
        return jnp.zeros_like(mean)
    return jnp.log(response / mean) if scale == "log" else response - mean


def _respond(mean: Array, residual: Array, scale: str | None) -> Array:
    return mean * jnp.exp(residual) if scale == "log" else mean + residual


def _simulated(key: Array, runs: Runs, about: About, model: Model) -> Array:
    """Responses of the fit: levels as they are, shocks and noise anew."""
    keys = random.split(key, 1 + len(model.effects or ()))
    shifts = {}
    for by, names in model.factors.items():
        scales = jnp.stack([about.values[f"{name}_scale"] for name in names])
        shifts[by] = about.values[f"{by}_raw"] * scales
    for own, effect in zip(keys[1:], model.effects or (), strict=True):
        place = model.factors[effect.by].index(effect_of(effect.by))
        shocks = about.values[f"{effect_of(effect.by)}_scale"] * random.normal(
            own, shifts[effect.by].shape[:1]
        )
        shifts[effect.by] = shifts[effect.by].at[:, place].set(shocks)
    values: Mapping[str, Array] = about.values
    mean = model.expected(runs, values, shifts)
    return jnp.asarray(model.noise(mean, runs, values).sample(keys[0]), float)
