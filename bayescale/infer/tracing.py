"""Operations that JAX has traced, done one after the other with some of them exchanged."""

from collections.abc import Callable, Sequence
from typing import Any

from jax.extend.core import Literal
from jax.extend.core.primitives import jit_p

Rule = Callable[[Any, list], list]


def evaluate(traced: Any, arguments: Sequence, rule: Rule, consts: Sequence | None = None) -> list:
    """The results of traced operations.

    Args:
        traced: a closed jaxpr.
        arguments: its arguments.
        rule: (operation, inputs) -> its results; `done` where it is done as it stands.
        consts: what takes the place of the constants of `traced`.
    """
    values: dict[Any, Any] = dict(
        zip(traced.jaxpr.constvars, traced.consts if consts is None else consts, strict=True)
    )
    values |= zip(traced.jaxpr.invars, arguments, strict=True)

    def read(atom):
        return atom.val if isinstance(atom, Literal) else values[atom]

    for equation in traced.jaxpr.eqns:
        inputs = [read(atom) for atom in equation.invars]
        if equation.primitive is jit_p:
            results = evaluate(equation.params["jaxpr"], inputs, rule)
        else:
            results = rule(equation, inputs)
        values |= zip(equation.outvars, results, strict=True)
    return [read(atom) for atom in traced.jaxpr.outvars]


def done(operation: Any, inputs: list) -> list:
    """The results of one traced operation as it stands."""
    bound = operation.primitive.get_bind_params(operation.params)
    functions, parameters = bound if isinstance(bound, tuple) else ((), bound)  # JAX 0.11 and later
    found = operation.primitive.bind(*functions, *inputs, **parameters)
    return found if operation.primitive.multiple_results else [found]
