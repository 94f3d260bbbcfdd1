"""Value, slope and curvature of a log likelihood whose law is a sum of power terms, without automatic differentiation.

With u_t the logarithm of term t, which is linear in its log amplitude and its exponent, the mean is

    mu = sum_t exp(u_t),    d mu / d u_t = exp(u_t)

so that one pass over the runs, contracted with products of 1 and the log covariates that never change, gives
everything a Newton step needs. How the noise depends on mu is still what the noise says.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from itertools import combinations_with_replacement
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from bayescale.infer.partials import partials
from bayescale.law import Law
from bayescale.runs import Runs

Coordinates = Callable[[Array], Array]
LogProb = Callable[[Array, Array], Array]


class Look(NamedTuple):
    """A function at a point: its value, gradient (size,) and second derivatives (size, size)."""

    value: Array
    gradient: Array
    hessian: Array


def known(law: Law) -> bool:
    """Whether a law says what terms it is a sum of, and nothing else multiplies it."""
    return bool(law.terms) and not law.irrelevant


def logs(law: Law, values: Mapping[str, Array]) -> Array:
    """What the logarithms of the terms are linear in: of each term log amplitude and exponent, and the log floor."""
    found = []
    for term in law.terms:
        exponent, amplitude = values[term.exponent], jnp.log(values[term.amplitude])
        found += [exponent * amplitude if term.inside else amplitude, exponent]
    return jnp.stack(found + ([jnp.log(values[law.floor])] if law.floor else []))


class Jets(NamedTuple):
    """What each run adds to the negative log likelihood, and its derivatives in (its mean; the noise), weighted.

    Attributes:
        value: (runs,).
        slope: (runs, 1 + scatter).
        curve: (runs, 1 + scatter, 1 + scatter).
    """

    value: Array
    slope: Array
    curve: Array


def jets(log_prob: LogProb, mean: Array, scatter: Array, weight: Array) -> Jets:
    """The jets of runs, which do not touch each other: a step common to all their means shows each one's own slope."""

    def common(step):
        return -log_prob(mean + step[0], (scatter + step[1:]).astype(scatter.dtype))

    def slopes(step):
        value, slope = common(step), jax.jacfwd(common)(step)
        return slope, (value, slope)

    curve, (value, slope) = jax.jacfwd(slopes, has_aux=True)(jnp.zeros(1 + scatter.size, mean.dtype))
    found = Jets(value * weight, slope * weight[:, None], curve * weight[:, None, None])
    # Else the compiler would do the exponentials and the logarithm again for each of the sums that follow.
    return Jets(*lax.optimization_barrier(tuple(found)))


def look(law: Law, runs: Runs, linear: Array, scatter: Array, log_prob: LogProb) -> Look:
    """The weighted negative log likelihood of a sum of power terms in (linear, scatter).

    Args:
        law: a law that is a sum of power terms.
        runs: the table.
        linear: what `logs` returns, (2 terms + floor,).
        scatter: the parameters of the noise that are free, (any,).
        log_prob: (mean, (runs,); scatter) -> log density of the responses, (runs,).
    """
    covariates = list(dict.fromkeys(term.covariate for term in law.terms))
    kind = linear.dtype
    x = [jnp.log(jnp.asarray(runs.columns[c] / runs.reference[c])).astype(kind) for c in covariates]
    axis = [covariates.index(term.covariate) for term in law.terms]
    unit, ones = jnp.asarray(runs.unit).astype(kind), jnp.ones_like(x[0])
    powers = [unit * jnp.exp(linear[2 * t] - linear[2 * t + 1] * x[axis[t]]) for t in range(len(law.terms))]
    if law.floor:
        powers.append(unit * jnp.exp(linear[-1]) * ones)
    mean = sum(powers[1:], start=powers[0])
    value, slope, curves = jets(log_prob, mean, scatter, jnp.asarray(runs.weight).astype(kind))

    features = [[(1.0, None), (-1.0, axis[t])] for t in range(len(law.terms))]
    features += [[(1.0, None)]] if law.floor else []
    starts = np.concatenate([[0], np.cumsum([len(f) for f in features])])
    size = int(starts[-1])
    gradient = [jnp.zeros((), kind)] * size
    hessian = [[jnp.zeros((), kind)] * (size + scatter.size) for _ in range(size)]

    def contract(row: Array, columns: list[tuple[float, tuple]]) -> list[Array]:
        """The sums over runs of `row` times products of log covariates."""
        table = [reduce(jnp.multiply, [x[i] for i in which], ones) for _, which in columns]
        sums = row @ jnp.stack(table, axis=1)
        return [sign * sums[i] for i, (sign, _) in enumerate(columns)]

    def single(of):
        return [(sign, () if i is None else (i,)) for sign, i in of]

    for t, own in enumerate(features):
        columns = single(own)
        for k, one in enumerate(contract(slope[:, 0] * powers[t], columns)):
            gradient[starts[t] + k] = one
        for j in range(scatter.size):
            for k, one in enumerate(contract(curves[:, 0, 1 + j] * powers[t], columns)):
                hessian[starts[t] + k][size + j] = one
    for s, t in combinations_with_replacement(range(len(features)), 2):
        row = curves[:, 0, 0] * powers[s] * powers[t] + (slope[:, 0] * powers[s] if s == t else 0.0)
        pairs, products = [], {}
        for a, (sign_a, i) in enumerate(features[s]):
            for b, (sign_b, j) in enumerate(features[t]):
                which = tuple(sorted(k for k in (i, j) if k is not None))
                pairs.append((a, b, sign_a * sign_b, which))
                products.setdefault(which, len(products))
        sums = contract(row, [(1.0, which) for which in products])
        for a, b, sign, which in pairs:
            hessian[starts[s] + a][starts[t] + b] = sign * sums[products[which]]
            hessian[starts[t] + b][starts[s] + a] = sign * sums[products[which]]
    top = jnp.stack([jnp.stack(row) for row in hessian])
    return _whole(Jets(value, slope, curves), jnp.stack(gradient), top)


def _whole(of_runs: Jets, gradient: Array, top: Array) -> Look:
    """The sums over runs, with what concerns the noise alone: `gradient` is that of the law, `top` its rows."""
    below = jnp.sum(of_runs.curve[:, 1:, 1:], axis=0)
    return Look(
        jnp.sum(of_runs.value),
        jnp.concatenate([gradient, jnp.sum(of_runs.slope[:, 1:], axis=0)]),
        jnp.concatenate([top, jnp.concatenate([top[:, gradient.size :].T, below], axis=1)], axis=0),
    )


def look_at_any(
    mean: Callable[..., Array],
    at: Sequence[Array],
    scatter: Array,
    log_prob: LogProb,
    weight: Array,
    *,
    straight: bool = False,
) -> Look:
    """The weighted negative log likelihood of any law in (at, scatter), its law differentiated automatically.

    Args:
        mean: so many numbers -> the means of the runs, (runs,).
        at: the numbers.
        scatter: the parameters of the noise that are free, (any,).
        log_prob: (mean, (runs,); scatter) -> log density of the responses, (runs,).
        weight: (runs,).
        straight: whether the second derivatives of the law are left out, as Gauss and Newton do.
    """
    value, columns = partials(mean, at)
    value, columns = lax.optimization_barrier((value, columns))
    slopes, of_runs = jnp.stack(columns), jets(log_prob, value, scatter, weight)

    def gradient(*numbers):
        return jax.grad(lambda n: jnp.sum(mean(*n) * of_runs.slope[:, 0]))(numbers)

    # What lies above the diagonal lies below it too, and is not worked out twice.
    pairs, bent = list(combinations_with_replacement(range(len(at)), 2)), of_runs.curve[:, 0, 0]
    half = {(i, j): jnp.sum(bent * columns[i] * columns[j]) for i, j in pairs}
    if not straight:
        bend = partials(gradient, at)[1]
        half = {(i, j): half[i, j] + bend[i][j] for i, j in pairs}
    rows = [[half[min(i, j), max(i, j)] for j in range(len(at))] for i in range(len(at))]
    square = jnp.stack([jnp.stack(row) for row in rows])
    return _seen(of_runs, slopes, square)


def look_at_many(mean: Coordinates, vector: Array, scatter: Array, log_prob: LogProb, weight: Array) -> Look:
    """The same of a mean that depends on many numbers, (any,): nothing is written out."""
    value, slopes = mean(vector), jax.jacfwd(mean)(vector).T
    value, slopes = lax.optimization_barrier((value, slopes))
    of_runs = jets(log_prob, value, scatter, weight)
    bend = jax.jacfwd(jax.grad(lambda v: jnp.sum(mean(v) * of_runs.slope[:, 0])))(vector)
    return _seen(of_runs, slopes, (slopes * of_runs.curve[:, 0, 0]) @ slopes.T + bend)


def _seen(of_runs: Jets, slopes: Array, square: Array) -> Look:
    """The sums over runs; `slopes`, (any, runs), are those of the means."""
    cross = slopes @ of_runs.curve[:, 0, 1:]
    gradient = jnp.sum(slopes * of_runs.slope[:, 0], axis=1)
    return _whole(of_runs, gradient, jnp.concatenate([square, cross], axis=1))


def pulled_back(coordinates: Coordinates, vector: Array, at: Look) -> Look:
    """A function of (the coordinates, scatter) as one of (the vector they are made of, scatter)."""
    jacobian = jax.jacfwd(coordinates)(vector)
    size = len(jacobian)
    bend = jax.jacfwd(jax.grad(lambda v: jnp.sum(coordinates(v) * at.gradient[:size])))(vector)
    # Sums and not products of matrices: side by side, a call of a library for each fit would take longer than the look.
    gradient = jnp.sum(jacobian * at.gradient[:size, None], axis=0)
    half = jnp.sum(at.hessian[:size, :, None] * jacobian[:, None, :], axis=0).T  # (own, size + scatter)
    square = jnp.sum(half[:, :size, None] * jacobian[None], axis=1) + bend
    cross = half[:, size:]
    above = jnp.concatenate([square, cross], axis=1)
    below = jnp.concatenate([cross.T, at.hessian[size:, size:]], axis=1)
    return Look(
        at.value, jnp.concatenate([gradient, at.gradient[size:]]), jnp.concatenate([above, below], axis=0)
    )
