"""Partial derivatives of a function of several numbers, without the arithmetic that is done on zeros.

Along one argument most of what a chain rule adds up is 0; a compiler of floating-point numbers must not leave it out,
for 0 times infinity is not 0. And what the function has in common with its derivatives is computed once.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from bayescale.infer.tracing import done, evaluate

_ZERO: Any = object()  # a change of nothing
# Linear in the one of their inputs that changes.
_PRODUCTS = {
    *("mul", "div", "neg", "dot_general", "reduce_sum", "convert_element_type"),
    *("broadcast_in_dim", "reshape", "squeeze", "transpose", "slice", "copy"),
}
_SUMS = {"add", "add_any"}


def partials(function: Callable[..., Any], at: Sequence[Array]) -> tuple[Any, list[Any]]:
    """The value of a function of numbers, and for each of them its derivative, shaped like the value.

    Args:
        function: so many numbers -> a tree of arrays.
        at: the numbers.
    """
    value, push = jax.linearize(function, *at)
    traced, shape = jax.make_jaxpr(push, return_shape=True)(*at)
    # Else the compiler would compute the exponentials anew in each of the derivatives.
    held = lax.optimization_barrier(tuple(traced.consts))
    columns = []
    for i, own in enumerate(at):
        changes = [jnp.ones_like(own) if i == j else _ZERO for j in range(len(at))]
        column = evaluate(traced, changes, _of_changes, held)
        leaves = [_there(one, atom) for one, atom in zip(column, traced.jaxpr.outvars, strict=True)]
        columns.append(jax.tree.unflatten(jax.tree.structure(shape), leaves))
    return value, columns


def _of_changes(operation: Any, inputs: list) -> list:
    """The changes that an operation makes of changes, those of nothing left out."""
    zero = [one is _ZERO for one in inputs]
    name = operation.primitive.name
    if any(zero) and (all(zero) or name in _PRODUCTS):
        return [_ZERO] * len(operation.outvars)
    if any(zero) and name in _SUMS:
        (other,) = (one for one in inputs if one is not _ZERO)
        return [jnp.broadcast_to(other, operation.outvars[0].aval.shape)]
    return done(operation, [_there(one, atom) for one, atom in zip(inputs, operation.invars, strict=True)])


def _there(change: Any, atom: Any) -> Any:
    return jnp.zeros(atom.aval.shape, atom.aval.dtype) if change is _ZERO else change
