"""Newton's method in a trust region, stopped by criteria that do not depend on the scale of the objective."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

DECREMENT = 1e-13  # stop when a Newton step promises less than this share of the objective
SHORT = 1e-10  # or when no coordinate, of order one, would move by more: the objective may be 0 there
BOUND_STEP = 0.1  # a longer step that promises nothing: the minimum is at infinity, a parameter at its bound
FLAT = 1e-14  # a share of the largest curvature that rounding hides: the direction is flat
ROUNDING = 1e-14  # a rise of this share of the objective is rounding, not a rise


class Minimum(NamedTuple):
    """Where a minimisation ended.

    Attributes:
        position: the argument, (size,).
        value: the objective there.
        hessian: its second derivatives there, (size, size).
        converged: whether it is a minimum: the Newton decrement has vanished and the curvature is positive.
        at_bound: for each coordinate, whether it runs to infinity while the objective stands still.
        iterations: how many steps were tried.
    """

    position: Array
    value: Array
    hessian: Array
    converged: Array
    at_bound: Array
    iterations: Array


class _State(NamedTuple):
    position: Array
    value: Array
    gradient: Array
    hessian: Array
    radius: Array
    done: Array
    iterations: Array


def minimise(objective: Callable[[Array], Array], start: Array, *, iterations: int = 300) -> Minimum:
    """The minimum of a smooth function near a start, by Newton steps of limited length.

    The coordinates are taken to be of order one, as logarithms and logits are; the objective has any scale.

    Args:
        objective: (size,) -> scalar.
        start: (size,).
        iterations: the most steps tried.

    Source:
        Nocedal and Wright 2006, Numerical Optimization, algorithms 4.1 and 4.3, with the eigenvalues of the
        Hessian in place of Cholesky factors, so that indefinite Hessians need no special case.
    """
    slope_of = jax.value_and_grad(objective)

    def look(position):
        def gradient(at):
            value, slope = slope_of(at)
            return slope, (value, slope)

        hessian, (value, slope) = jax.jacfwd(gradient, has_aux=True)(position)
        return value, slope, hessian

    def step(state: _State) -> _State:
        values, vectors = jnp.linalg.eigh(state.hessian)
        slope = vectors.T @ state.gradient
        # The first step goes nowhere, so that there is one place only where the objective is compiled.
        first = state.iterations == 0
        move = jnp.where(first, 0, vectors @ _bounded(values, slope, state.radius))
        promise = -(move @ state.gradient + move @ state.hessian @ move / 2)
        done = ~first & _stationary(state.value, values, slope)

        value, gradient, curvature = look(state.position + move)
        finite = jnp.isfinite(value) & jnp.all(jnp.isfinite(gradient)) & jnp.all(jnp.isfinite(curvature))
        fall = jnp.where(finite, state.value - value, -jnp.inf)
        ratio = fall / promise
        accept = ~done & finite & (first | (fall >= -ROUNDING * jnp.abs(state.value)))
        length = jnp.linalg.norm(move)
        radius = jnp.where(ratio < 0.25, 0.25 * length, state.radius)
        radius = jnp.where(ratio > 0.75, jnp.minimum(jnp.maximum(radius, 2 * length), 1e3), radius)
        radius = jnp.where(first, jnp.where(finite, 1.0, 0.0), radius)
        new = (state.position + move, value, gradient, curvature)
        old = (state.position, state.value, state.gradient, state.hessian)
        kept = [jnp.where(accept, a, b) for a, b in zip(new, old, strict=True)]
        return _State(*kept, radius=radius, done=done, iterations=state.iterations + 1)

    one, zero = jnp.ones_like(start[0]), jnp.zeros_like(start)
    begin = _State(start, one * jnp.inf, zero, jnp.eye(start.size), one, jnp.array(False), jnp.array(0))
    last = lax.while_loop(lambda s: ~s.done & (s.iterations <= iterations) & (s.radius > 1e-12), step, begin)
    usable = jnp.isfinite(last.value)
    values, vectors = jnp.linalg.eigh(last.hessian)
    slope = vectors.T @ last.gradient
    flat = _flat(values)
    newton = vectors @ jnp.where(flat, 0, slope / jnp.where(flat, 1, values))
    # Curvature and slope fade together on the way to a bound; where no slope is left nothing can be told.
    running = flat & (jnp.abs(slope) > BOUND_STEP * FLAT * jnp.max(jnp.abs(values)))
    far = (jnp.abs(newton) > BOUND_STEP) | jnp.any(running & (jnp.abs(vectors) > BOUND_STEP), axis=1)
    at_bound = usable & last.done & far
    return Minimum(
        last.position,
        jnp.where(usable, last.value, jnp.inf),
        last.hessian,
        usable & last.done & ~jnp.any(at_bound) & ~jnp.any(flat),
        at_bound,
        last.iterations - 1,
    )


def _flat(values: Array) -> Array:
    """Whether rounding hides the curvature, of each eigenvalue of the Hessian."""
    return jnp.abs(values) <= FLAT * jnp.max(jnp.abs(values))


def _stationary(value: Array, values: Array, slope: Array) -> Array:
    """Whether a Newton step promises nothing, nor a step of 1 where rounding hides the curvature."""
    flat = _flat(values)
    newton = jnp.where(flat, 0, slope / jnp.where(flat, 1, values))
    nothing = jnp.sum(jnp.abs(newton * slope)) <= DECREMENT * jnp.abs(value)
    nothing |= jnp.all(jnp.abs(newton) <= SHORT)
    still = jnp.where(flat, jnp.abs(slope) <= FLAT * jnp.max(jnp.abs(values)), values > 0)
    return nothing & jnp.all(still)


def _bounded(values: Array, slope: Array, radius: Array) -> Array:
    """The step, in the eigenbasis, that minimises the quadratic model within the radius."""

    def move(shift):
        return -slope / (values + shift)

    scale = jnp.max(jnp.abs(values)) + jnp.finfo(values).tiny
    least = jnp.maximum(0, -values[0]) + 1e-14 * scale
    # The longest shift needed: |slope| / (values + shift) <= radius whatever the curvature.
    most = least + jnp.linalg.norm(slope) / radius + scale
    free = jnp.linalg.norm(move(least)) <= radius

    def halve(_, bracket):
        low, high = bracket
        middle = jnp.sqrt(low * high)
        short = jnp.linalg.norm(move(middle)) <= radius
        return jnp.where(short, low, middle), jnp.where(short, middle, high)

    _, shift = lax.fori_loop(0, 40, halve, (least, most))
    return move(jnp.where(free, least, shift))
