"""Functions of numbers as JavaScript, operation by operation as JAX has traced them.

What comes out is made of the operations below, of names made here and of numbers: nothing that a user has typed, and
no name of a law or of a column, gets into it.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from bayescale import parallel
from bayescale.infer.tracing import evaluate

# Of an operation of JAX on numbers, with its inputs by their place.
_FORMS = {
    "add": "{0} + {1}",
    "add_any": "{0} + {1}",
    "sub": "{0} - {1}",
    "mul": "{0} * {1}",
    "div": "{0} / {1}",
    "neg": "-{0}",
    "abs": "Math.abs({0})",
    "sign": "Math.sign({0})",
    "floor": "Math.floor({0})",
    "ceil": "Math.ceil({0})",
    "max": "Math.max({0}, {1})",
    "min": "Math.min({0}, {1})",
    "clamp": "Math.min(Math.max({1}, {0}), {2})",
    "square": "{0} * {0}",
    "sqrt": "Math.sqrt({0})",
    "cbrt": "Math.cbrt({0})",
    "rsqrt": "1 / Math.sqrt({0})",
    "pow": "Math.pow({0}, {1})",
    "exp": "Math.exp({0})",
    "exp2": "Math.pow(2, {0})",
    "expm1": "Math.expm1({0})",
    "log": "Math.log({0})",
    "log1p": "Math.log1p({0})",
    "log2": "Math.log2({0})",
    "logistic": "1 / (1 + Math.exp(-{0}))",
    "sin": "Math.sin({0})",
    "cos": "Math.cos({0})",
    "tan": "Math.tan({0})",
    "atan": "Math.atan({0})",
    "sinh": "Math.sinh({0})",
    "cosh": "Math.cosh({0})",
    "tanh": "Math.tanh({0})",
    "gt": "{0} > {1}",
    "ge": "{0} >= {1}",
    "lt": "{0} < {1}",
    "le": "{0} <= {1}",
    "eq": "{0} === {1}",
    "ne": "{0} !== {1}",
    "is_finite": "Number.isFinite({0})",
    "select_n": "{0} ? {2} : {1}",
}
_OF_TRUTHS = {"and": "{0} && {1}", "or": "{0} || {1}", "not": "!{0}", "xor": "{0} !== {1}"}
# What changes nothing where there is one number.
_NOTHING = ("stop_gradient", "copy", "copy_p", "broadcast_in_dim", "reshape", "squeeze", "reduce_precision")
# What holds other operations, and where.
_CALLS = {
    "jit": "jaxpr",
    "pjit": "jaxpr",
    "closed_call": "call_jaxpr",
    "custom_jvp_call": "call_jaxpr",
    "custom_vjp_call": "call_jaxpr",
}


class UntranslatableError(ValueError):
    """A function that is made of something that has no translation here."""


def translate(function: Callable, arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """A function of numbers as statements of JavaScript, and the expressions of its results.

    Args:
        function: of as many numbers as there are arguments, traced in double precision; to numbers.
        arguments: the expressions that its arguments are in JavaScript.

    Returns:
        The statements, `const v0 = ...;` and so on, and an expression for each result.

    Raises:
        UntranslatableError: it is made of something else than operations on single numbers that are known here.

    >>> translate(lambda x, y: x * x + 1.0, ["x", "y"])
    (['const v0 = x * x;', 'const v1 = v0 + 1.0;'], ['v1'])
    """
    with parallel.workbench():
        # 0.5 is in the support of whatever a law has.
        traced = jax.make_jaxpr(function)(*[np.float64(0.5)] * len(arguments))
        written = _Written()
        results = evaluate(traced, [_Name(a) for a in arguments], written.rule)
    expressions = [_operand(result) for result in results]
    return written.statements(expressions), expressions


class _Name(str):
    """An expression, where a number would be a constant."""


class _Written:
    """What has been written; an expression that comes again is the name that it has."""

    def __init__(self):
        self.names: dict[str, _Name] = {}  # expression -> name, in order
        self.needs: dict[str, list[str]] = {}  # name -> the operands of its expression

    def rule(self, operation: Any, inputs: list) -> list:
        """The names of the results of one traced operation."""
        name, params = operation.primitive.name, operation.params
        if name in _CALLS:
            return evaluate(params[_CALLS[name]], inputs, self.rule)
        kinds = [v.aval for v in (*operation.invars, *operation.outvars)]
        if any(aval.shape for aval in kinds):
            raise UntranslatableError(f"{name} of arrays has no translation; a law is a function of numbers")
        truths = [aval.dtype == np.bool_ for aval in kinds]
        # A number without a type of its own, such as the 10 of 10**x, is converted before it is used.
        used = (
            operation.outvars if name == "convert_element_type" else (*operation.invars, *operation.outvars)
        )
        if others := {str(v.aval.dtype) for v in used} - {"float64", "bool"}:
            raise UntranslatableError(f"{name} of {', '.join(sorted(others))} has no translation")
        return inputs[:1] if name in _NOTHING else [self.name(self.expression(name, params, truths), inputs)]

    def expression(self, name: str, params: Any, truths: list[bool]) -> str:
        """The form of an operation; `truths` says which of its inputs and outputs are true or false."""
        if name == "integer_pow":
            return "{0} * {0}" if params["y"] == 2 else f"Math.pow({{0}}, {int(params['y'])})"
        if name == "convert_element_type":
            return {
                (True, False): "Number({0})",
                (False, True): "{0} !== 0",
                (True, True): "{0}",
                (False, False): "{0}",
            }[truths[0], truths[1]]
        if name in _OF_TRUTHS and all(truths):
            return _OF_TRUTHS[name]
        if (name == "select_n" and not truths[0]) or name not in _FORMS:
            raise UntranslatableError(f"the operation {name} has no translation")
        return _FORMS[name]

    def name(self, form: str, inputs: list) -> Any:
        """The name of an expression."""
        operands = [_operand(value) for value in inputs]
        expression = form.format(*operands)
        if expression in operands:  # as it was
            return inputs[operands.index(expression)]
        if expression not in self.names:
            name = self.names[expression] = _Name(f"v{len(self.names)}")
            self.needs[name] = operands
        return self.names[expression]

    def statements(self, results: list[str]) -> list[str]:
        """The statements that results depend on."""
        needed = set(results)
        for name in reversed(self.needs):
            if name in needed:
                needed.update(self.needs[name])
        return [f"const {name} = {what};" for what, name in self.names.items() if name in needed]


def _operand(value: Any) -> str:
    """A name as it is, and a number as JavaScript writes it."""
    if isinstance(value, _Name):
        return str(value)
    value = np.asarray(value).item()
    if isinstance(value, bool):
        return "true" if value else "false"
    value = float(value)
    if not np.isfinite(value):
        return "NaN" if np.isnan(value) else "Infinity" if value > 0 else "(-Infinity)"
    return repr(value) if value >= 0 and not str(value).startswith("-") else f"({value!r})"
