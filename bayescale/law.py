"""Law: a mean function and its priors."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from types import MappingProxyType
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jax import Array, lax
from jax.typing import ArrayLike
from numpyro.distributions import Distribution

Values = Mapping[str, ArrayLike]
AXIS = "x"  # the covariate of a law in one axis, until `along` says which column it is


class Term(NamedTuple):
    """A power term of a law: amplitude * covariate^-exponent.

    With `inside`, the amplitude stands inside the power: (amplitude / covariate)^exponent.
    """

    amplitude: str
    exponent: str
    covariate: str
    inside: bool = False


class Coordinates(NamedTuple):
    """What the sampler moves in, of a law that is no sum of power terms: there its posterior is nearly normal.

    Both functions take, as `mean` does, first the covariates, at the medians of the runs, and then one number for each
    parameter by its name: the coordinate that stands in its place, any real number, or the parameter itself. They hold
    for priors that end where those of the law do.

    Attributes:
        to_parameters: gives the parameters as a dictionary, and the logarithm of the volume of a unit of coordinates.
        to_coordinates: the inverse.
    """

    to_parameters: Callable[..., tuple[dict[str, Array], Array]]
    to_coordinates: Callable[..., dict[str, Array]]


@dataclass(frozen=True, eq=False)
class Law:
    """A scaling law: a formula, and a belief about its parameters.

    Args:
        name: the name of the file the law is in.
        mean: `mean(N, D, *, E, A, ...)`, the expected response, elementwise. What stands before the `*` are
            columns of `Runs`, what comes after it are parameters; given natural units and published
            parameters it returns the published response.
        priors: the prior of each parameter where covariates are measured against the reference run (the
            geometric mean of the design) and the response against its unit (the least loss measured).
        source: the paper and the equation.
        response: "loss" or "success".
        natural: `natural(N, D, loss, *, E, A, ...)`, the parameters in natural units as a dictionary, where
            the given ones hold for covariates measured against N, D and a response measured against `loss`.
            It is a change of units, so its inverse is itself at `1/N, 1/D, 1/loss`.
        spread: how far the levels of a factor may differ in a parameter, as the scale of a half-normal in the
            unconstrained space; 0.5 where nothing is said.
        floor: the parameter that is added to the terms, of a law that is a sum of power terms.
        terms: the power terms, of such a law; the sampler and the refits make use of it.
        coordinates: what the sampler moves in, of a law that is no such sum; the parameters themselves if None.
        absolute: the covariates that are taken as they are and not measured against the reference run, such as a
            chance level, a number of attempts or a date, each with the least and the most that it can be.
        columns: the columns that covariates are read from, where they bear another name; see `along`.
        irrelevant: the covariates multiplied onto the law by `irrelevant`.

    Raises:
        ValueError: a prior without a parameter, a parameter without a prior, or parts that do not go together.
    """

    name: str
    mean: Callable[..., ArrayLike]
    priors: Mapping[str, Distribution]
    source: str
    response: str = "loss"
    natural: Callable[..., dict[str, ArrayLike]] | None = None
    spread: Mapping[str, float] = field(default_factory=dict)
    floor: str | None = None
    terms: tuple[Term, ...] = ()
    coordinates: Coordinates | None = None
    absolute: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    columns: Mapping[str, str] = field(default_factory=dict)
    irrelevant: tuple[str, ...] = ()

    def __post_init__(self):
        if self.response not in ("loss", "success"):
            raise ValueError(f"law {self.name}: response is {self.response!r}; it is 'loss' or 'success'")
        missing = [p for p in self.parameters if p not in self.priors]
        unknown = [p for p in self.priors if p not in self.parameters]
        if missing or unknown:
            raise ValueError(
                f"law {self.name}: "
                + "; ".join(
                    [f"parameter {p} has no prior" for p in missing]
                    + [f"the prior of {p} has no parameter in mean()" for p in unknown]
                )
            )
        if self.coordinates is not None and (self.terms or self.absolute):
            raise ValueError(
                f"law {self.name} has coordinates and "
                + ("terms; leave one of them out" if self.terms else "absolute covariates, which have none")
            )
        for term in self.terms:
            if (
                not {term.amplitude, term.exponent} <= set(self.parameters)
                or term.covariate not in self._axes
            ):
                raise ValueError(
                    f"law {self.name}: {tuple(term)} is not a term of its parameters and covariates"
                )
        if unknown := set(self.absolute) - set(self._axes):
            raise ValueError(f"law {self.name}: {', '.join(sorted(unknown))} is absolute and no covariate")
        for name in ("priors", "spread", "columns", "absolute"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))
        if len(set(self.covariates)) < len(self.covariates):
            raise ValueError(f"law {self.name} has a covariate twice: {', '.join(self.covariates)}")

    def _names(self, kind) -> tuple[str, ...]:
        return tuple(n for n, p in inspect.signature(self.mean).parameters.items() if p.kind is kind)

    @property
    def _axes(self) -> tuple[str, ...]:
        own = self._names(inspect.Parameter.POSITIONAL_OR_KEYWORD)
        return tuple(self.columns.get(n, n) for n in own)

    @property
    def covariates(self) -> tuple[str, ...]:
        """The columns of `Runs` that the law is a function of, in the order of the signature of `mean`."""
        return self._axes + self.irrelevant

    @property
    def parameters(self) -> tuple[str, ...]:
        """The parameters, in the order of the signature of `mean`."""
        return self._names(inspect.Parameter.KEYWORD_ONLY) + tuple(f"gamma_{c}" for c in self.irrelevant)

    def replace(self, **changes) -> "Law":
        """The law with some of its fields changed; new `priors` are laid over those there are.

        Its coordinates go with its mean and with where its priors end, and are lost where those change.
        """
        if "priors" in changes:
            changes["priors"] = {**self.priors, **changes["priors"]}
            if any(_ends(changes["priors"][name]) != _ends(prior) for name, prior in self.priors.items()):
                changes.setdefault("coordinates", None)
        if "mean" in changes:
            changes.setdefault("coordinates", None)
        return replace(self, **changes)

    def along(self, column: str) -> "Law":
        """A law in one axis, as the law along `column`; the same object each time, for which nothing is compiled anew.

        Raises:
            ValueError: the law is not a law in one axis.
        """
        if AXIS not in self._names(inspect.Parameter.POSITIONAL_OR_KEYWORD):
            axes = ", ".join(self.covariates) or "no covariate"
            raise ValueError(
                f"law {self.name} is in {axes}; only a law in one axis can be put along a column"
            )
        return _along(self, column)

    def relative(self, columns: Values, reference: Values) -> dict[str, Any]:
        """The covariates of the law, measured against the reference run where they are not absolute."""
        return {c: columns[c] if c in self.absolute else columns[c] / reference[c] for c in self.covariates}

    def __call__(self, covariates: Values, parameters: Values) -> ArrayLike:
        """The mean response, elementwise; covariates and parameters by name, all in the same units.

        NumPy arrays give a NumPy array where the formula allows: nothing has to be compiled for it.
        """
        own = {p: parameters[p] for p in self._names(inspect.Parameter.KEYWORD_ONLY)}
        value = self.mean(*(covariates[c] for c in self._axes), **own)
        return value * self._factor(covariates, parameters)

    def _factor(self, covariates: Values, parameters: Values) -> ArrayLike:
        """What the irrelevant covariates multiply the law by."""
        if not self.irrelevant:
            return 1.0
        return jnp.exp(sum(parameters[f"gamma_{c}"] * jnp.log(covariates[c]) for c in self.irrelevant))

    def to_natural(self, parameters: Values, reference: Values, unit: ArrayLike) -> dict[str, Any]:
        """Parameters relative to the reference run, in natural units; as they are where `natural` is not given.

        Args:
            parameters: name -> value, where covariates count in `reference` and the response in `unit`.
            reference: the reference run, column -> value.
            unit: the response that counts as 1.
        """
        if self.natural is None:
            return dict(parameters)
        own = {p: parameters[p] for p in self._names(inspect.Parameter.KEYWORD_ONLY)}
        # (x / x0)^gamma is x^gamma in a response measured in x0^-gamma.
        unit = unit / self._factor(reference, parameters)
        of_axes = (1.0 if c in self.absolute else reference[c] for c in self._axes)
        changed = self.natural(*of_axes, unit, **own)
        return {**parameters, **changed}

    def to_reference(self, parameters: Values, reference: Values, unit: ArrayLike) -> dict[str, Any]:
        """Parameters in natural units, relative to the reference run: the inverse of `to_natural`."""
        measured = [c for c in self.covariates if c not in self.absolute]
        return self.to_natural(parameters, {c: 1 / reference[c] for c in measured}, 1 / unit)


def _ends(prior: Distribution) -> tuple[float, float]:
    """Where a prior of one number ends."""
    support = prior.support
    return float(getattr(support, "lower_bound", -np.inf)), float(getattr(support, "upper_bound", np.inf))


@lru_cache
def _along(law: Law, column: str) -> Law:
    terms = tuple(term._replace(covariate=column) for term in law.terms)
    return replace(law, columns={AXIS: column}, terms=terms)


def irrelevant(law: Law, covariate: str) -> Law:
    """The law times exp(gamma x), where x is the logarithm of a covariate that may not matter at all.

    With gamma = 0 it is the law itself, so the evidence for one over the other says whether the covariate has
    a law: the number of GPUs at fixed compute should have none. x is measured from the reference run, and
    gamma ~ Normal(0, 0.05): one e-fold of the covariate changes the response by some 5%. The law is the same object
    each time.
    """
    if covariate in law.covariates:
        raise ValueError(f"law {law.name} is in {covariate} already")
    if law.response == "success":
        raise ValueError(
            f"law {law.name} is of success, which times a factor may be above 1; compare laws of {covariate} with the "
            "constant instead"
        )
    return _irrelevant(law, covariate)


@lru_cache
def _irrelevant(law: Law, covariate: str) -> Law:
    return replace(
        law,
        irrelevant=(*law.irrelevant, covariate),
        floor=None,
        terms=(),
        coordinates=None,
        priors={**law.priors, f"gamma_{covariate}": dist.Normal(0.0, 0.05)},
    )


def logaddexp(a: ArrayLike, b: ArrayLike) -> Array:
    """The logarithm of exp(a) + exp(b), elementwise, for the means of laws.

    It is `jnp.logaddexp` for finite numbers, but its derivatives are made of the exponentials that it has computed,
    where those of `jnp.logaddexp` compute others.
    """
    a, b = jnp.asarray(a), jnp.asarray(b)
    larger = lax.stop_gradient(jnp.maximum(a, b))
    return larger + jnp.log(jnp.exp(a - larger) + jnp.exp(b - larger))
