"""The law of a fit as a compiled function of covariates, one for each draw."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from jax import Array

from bayescale import parallel
from bayescale.columns import label
from bayescale.fit import Fit
from bayescale.forecast import known
from bayescale.law import Law
from bayescale.model import Model
from bayescale.noise import Noise
from bayescale.runs import Runs

FLOP = 6.0  # for each parameter and token of training: Kaplan et al. 2020, arXiv:2001.08361, section 2.1
EXAMPLES = {"N": "7e9", "D": "1.4e12", "U": "1e11", "C": "1e22"}  # how to hold a covariate; others as 8


@dataclass(frozen=True, eq=False, repr=False)
class Surface:
    """The mean response of a fit at named levels: the law of one recipe, with one set of parameters for each draw.

    Attributes:
        fit: the fit.
        levels: the level of each factor by which parameters differ; empty for those that levels differ from.
        at: covariates that are held, column -> value.
        own: the parameters relative to the reference run, name -> (draws,).
    """

    fit: Fit
    levels: dict[str, str]
    at: dict[str, float]
    own: dict[str, np.ndarray]

    def __len__(self) -> int:
        return len(next(iter(self.own.values())))

    @property
    def law(self) -> Law:
        """The law of the fit."""
        return self.fit.model.law

    @property
    def model(self) -> Model:
        """The law without what groups share: one model for all its fits, so that it is compiled once."""
        return _bare(self.law, self.fit.model.noise)

    @property
    def measures(self) -> Runs:
        """The reference run and the unit, as a table without runs."""
        return self.fit.runs.replace(columns={}, response=None, factors={}, weight=np.ones(()), levels={})

    @property
    def asked(self) -> dict[str, float | str]:
        """The levels and the covariates that are held, for `Decision.asked`."""
        return {**self.levels, **self.at}

    def loss(self, **covariates: npt.ArrayLike) -> np.ndarray:
        """The mean response for each draw at each point, (draws, points).

        Args:
            covariates: column -> a number or (points,) for all draws, or (draws, 1) or (draws, points); C may
                be left to C = 6ND, and U is at most D.

        Raises:
            ValueError: a covariate of the law is missing, or one is given that it is not in.
        """
        found = self._needed(covariates)
        columns = {c: np.atleast_2d(np.asarray(v, float)) for c, v in found.items()}
        shape = np.broadcast_shapes((len(self), 1), *(v.shape for v in columns.values()))
        columns = {c: np.broadcast_to(v, shape) for c, v in columns.items()}
        with parallel.workbench():
            return np.asarray(_losses(self.model, self.measures, self.own, columns, shape[1:]))

    def each(self, **covariates: npt.ArrayLike) -> np.ndarray:
        """The mean response of each draw at its own point, (draws,); covariates are numbers or (draws,)."""
        found = {c: np.broadcast_to(np.asarray(v, float), len(self)) for c, v in covariates.items()}
        return self.loss(**{c: v[:, None] for c, v in found.items()})[:, 0]

    def elasticities(self, **covariates: npt.ArrayLike) -> dict[str, np.ndarray]:
        """What an e-fold more of each covariate takes off the response, -dL / d ln x, each (draws,).

        Args:
            covariates: column -> a number or (draws,), as for `each`.
        """
        found = self._needed(covariates)
        columns = {c: np.broadcast_to(np.asarray(v, float), len(self)) for c, v in found.items()}
        with parallel.workbench():
            slopes = _slopes(self.model, self.measures, self.own, columns)
            return {c: -np.asarray(v) for c, v in slopes.items()}

    def thinned(self, draws: int) -> "Surface":
        """The surface with about so many of its draws, evenly: what a figure needs."""
        step = max(1, len(self) // draws)
        return Surface(self.fit, self.levels, self.at, {p: v[::step] for p, v in self.own.items()})

    def holding(self, **at: float) -> "Surface":
        """The surface with further covariates held, or held elsewhere."""
        return Surface(self.fit, self.levels, {**self.at, **at}, self.own)

    def holds(self, *covariates: str) -> None:
        """Refuse a law that needs more than these covariates and those that are held, or that lacks one of them.

        Raises:
            ValueError: which covariate is missing, not of the law, or held although it is what is asked.
        """
        self.leaves(*covariates)
        law = self.law
        axes = ", ".join(law.covariates) or "no covariate"
        if law.response != "loss" or not set(covariates) <= set(law.covariates):
            raise ValueError(
                f"law {law.name} is of {law.response} in {axes}; this needs a law of loss in {', '.join(covariates)}"
            )
        known = {*covariates, *self.at} | ({"C"} if {"N", "D"} <= {*covariates, *self.at} else set())
        if missing := [c for c in law.covariates if c not in known]:
            value = EXAMPLES.get(missing[0], "8")
            held = f"at={{{missing[0]!r}: {value}}} or --hold {missing[0]}={value}"
            raise ValueError(f"law {law.name} is in {axes}; hold {missing[0]}, as {held}")

    def leaves(self, *covariates: str) -> None:
        """Refuse to hold what is asked, or the C that follows from it.

        Raises:
            ValueError: which covariate is held.
        """
        asked = {*covariates, *(("C",) if {"N", "D"} <= set(covariates) else ())}
        if held := [c for c in self.at if c in asked]:
            raise ValueError(f"{held[0]} is what is asked; it cannot be held at {label(self.at[held[0]])}")

    def _needed(self, covariates: Mapping[str, npt.ArrayLike]) -> dict[str, npt.ArrayLike]:
        """What is given and held, of what the law needs and C = 6ND follows from."""
        known(self.fit.model, covariates)
        found, law = {**self.at, **covariates}, self.law
        derived = {"C"} if {"N", "D"} <= set(found) else set()
        if missing := [c for c in law.covariates if c not in {*found, *derived}]:
            raise ValueError(f"law {law.name} needs {', '.join(law.covariates)}; {missing[0]} is missing")
        wanted = {*law.covariates, "N", "D"} if "C" in law.covariates and "C" not in found else law.covariates
        return {c: v for c, v in found.items() if c in wanted}


def surface(
    fit: Fit | Surface, *, at: Mapping[str, float] | None = None, centre: bool = False, **levels: str
) -> Surface:
    """The law of a fit at named levels as a function of covariates, for each draw.

    Args:
        fit: a fit; a surface is given back as it is.
        at: covariates that are held, column -> value, such as {"experts": 8}.
        centre: whether to take the parameters that levels differ from, instead of those of a level.
        levels: the level of each factor by which parameters differ, as corpus="web".

    Raises:
        ValueError: a level is missing or unknown, or something is held that the law is not in.
    """
    if isinstance(fit, Surface):
        if at or centre or levels:
            raise ValueError("a surface has its levels already; give the fit, or no levels")
        return fit
    held = {c: float(v) for c, v in (at or {}).items()}
    for c, value in held.items():
        if c not in fit.model.law.covariates:
            axes = ", ".join(fit.model.law.covariates) or "no covariate"
            raise ValueError(f"law {fit.model.law.name} is in {axes}; {c} cannot be held")
        if not (np.isfinite(value) and value > 0):
            raise ValueError(f"{c} is held at {value}; it is a positive number")
    if not centre:
        fit.require(levels)
    elif levels:
        raise ValueError(f"centre=True and {', '.join(levels)}=... contradict each other; give one of them")
    with parallel.workbench():
        relative = fit.relative(levels)
        own = {p: np.asarray(relative[p]) for p in fit.model.law.parameters}
    return Surface(fit, dict(levels), held, own)


def completed(law: Law, columns: Mapping[str, Array]) -> dict[str, Array]:
    """The covariates of a law, with C = 6ND where it is not given; no more tokens are unique than are seen."""
    found = dict(columns)
    if "C" in law.covariates and "C" not in found:
        found["C"] = FLOP * found["N"] * found["D"]
    if "U" in found and "D" in found:
        found["U"] = jnp.minimum(found["U"], found["D"])
    return {c: found[c] for c in law.covariates}


@functools.lru_cache
def _bare(law: Law, noise: Noise) -> Model:
    return Model(law, noise, effects=())


@functools.partial(jax.jit, static_argnums=(0, 4))
def _losses(
    model: Model, measures: Runs, own: dict[str, Array], columns: dict[str, Array], points: tuple[int, ...]
) -> Array:
    """The mean response, (draws, points)."""

    def of_draw(one: dict[str, Array], at: dict[str, Array]) -> Array:
        columns = completed(model.law, at)
        return jnp.broadcast_to(model.mean(measures.replace(columns=columns), one), points)

    return jax.vmap(of_draw)(own, columns)


@functools.partial(jax.jit, static_argnums=0)
def _slopes(model: Model, measures: Runs, own: dict[str, Array], columns: dict[str, Array]) -> dict[str, Any]:
    """The derivative of the mean response by the logarithm of each covariate, each (draws,)."""

    def of_draw(one: dict[str, Array], at: dict[str, Array]) -> dict[str, Any]:
        def response(log: dict[str, Array]) -> Array:
            columns = completed(model.law, jax.tree.map(jnp.exp, log))
            return model.mean(measures.replace(columns=columns), one)

        return jax.grad(response)(jax.tree.map(jnp.log, at))

    return jax.vmap(of_draw)(own, columns)
