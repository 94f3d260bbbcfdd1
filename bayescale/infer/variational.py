"""The variational approximation of a posterior: for tables of a million runs and thousands of levels."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, random
from numpyro.distributions.distribution import validation_enabled

from bayescale import parallel
from bayescale.fit import Fit
from bayescale.infer.chart import Chart, anchor
from bayescale.infer.density import Density
from bayescale.infer.frame import chart_of
from bayescale.infer.nuts import nuts
from bayescale.infer.settle import ROWS, STEPS, Settled, part, settle
from bayescale.model import Model
from bayescale.provenance import provenance
from bayescale.runs import Runs

SMALL = 3000  # runs of the part of a table on which NUTS says what the approximation is worth
SHARE = 8  # one in so many of those runs for each step: what is measured is what is done with the whole
ROUNDS = 8  # of steps in the chart, at most, until it has settled
STILL = 0.2  # posterior standard deviations that what levels share may move in the last of them
BLOCK = 1 << 18  # runs whose second derivatives are found at a time


def variational(
    key: Array, model: Model, runs: Runs, *, draws: int = 1000, steps: int = STEPS, check: bool = True
) -> Fit:
    """Draws from the normal distribution nearest to a posterior, with independent coordinates: an approximation.

    The coordinates are those that NUTS samples in: deviations given their scales, as far as the data of each level
    tell. First it settles without them, then they are made, and it settles in them, until what levels share stays
    where it is. Each step takes some thousands of runs at random, and is put right by the gradient of all runs, which
    is found anew every hundred steps; see `settle`.

    What it is worth is measured: on a part of the table small enough for NUTS, of whose runs each step takes a share
    too, the means are compared, in posterior standard deviations, and so are the widths. `stats` has "moved", how far
    what levels share moved last, in posterior standard deviations, "error", the median over what levels share of the
    distance of the means, and "narrow", the median ratio of widths; the fit says so wherever it appears.

    Args:
        key: the random key.
        model: the model; effects left open are chosen from the table.
        runs: the table.
        draws: how many.
        steps: of each time that it settles, of which there are 2 to 9.
        check: whether to measure what it is worth.

    Raises:
        ValueError: the model does not suit the table, or has no levels with deviations.

    Source:
        Hoffman et al. 2013, arXiv:1206.7051; Kucukelbir et al. 2017, arXiv:1603.00788.
    """
    model = model.specialise(runs)
    if not model.factors:
        raise ValueError("the model has no levels with deviations; NUTS is fast, and exact: use nuts")
    key_found, key_check = random.split(key)
    found, stats = _approximated(key_found, model, runs, draws, steps)
    if check:
        stats |= measured(key_check, model, runs, steps=steps)
    return Fit(model, runs, found, "svi", stats | provenance(key))


def measured(
    key: Array, model: Model, runs: Runs, *, rows: int = SMALL, steps: int = STEPS
) -> dict[str, Any]:
    """The error of the approximation against NUTS, on a part of the table that has about so many runs.

    The part has some of the levels of the factors, at random, with all their runs.
    """
    some = some_levels(np.random.default_rng(np.asarray(random.key_data(key))), model, runs, rows)
    model = model.specialise(some)
    exact = nuts(key, model, some, draws=500, warmup=300, target=0.9, retry=False)
    found, _ = _approximated(key, model, some, 2000, steps, rows=len(some) // SHARE)
    shared = [name for name, values in found.items() if values.ndim == 2]
    off, narrow = {}, {}
    for name in shared:
        ours, theirs = np.log(found[name]).ravel(), np.log(exact.flat(name))
        off[name] = float(abs(np.mean(ours) - np.mean(theirs)) / np.std(theirs))
        narrow[name] = float(np.std(ours) / np.std(theirs))
    return {
        "error": float(np.median(list(off.values()))),
        "narrow": float(np.median(list(narrow.values()))),
        "errors": off,
        "widths": narrow,
        "checked": len(some),
        "checked_r_hat": float(max(values[..., 0].max() for values in exact.diagnostics.values())),
    }


def some_levels(rng: np.random.Generator, model: Model, runs: Runs, rows: int) -> Runs:
    """The runs of some of the levels: those of the factor that has the most are halved until few runs are left."""
    while len(runs) > rows:
        by = max(model.factors, key=lambda one: len(runs.levels[one]))
        count = len(runs.levels[by])
        kept = np.isin(np.asarray(runs.factors[by]), rng.choice(count, (count + 1) // 2, replace=False))
        runs = runs.subset(kept)
    return runs


def _approximated(
    key: Array, model: Model, runs: Runs, draws: int, steps: int, rows: int = ROWS
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Draws, site -> (1, draws, ...), and what there is to say of them."""
    with parallel.bench():  # on an accelerator, if there is one: a large table is much work for each step
        key_start, key_first, key_draws, *keys = random.split(key, 3 + ROUNDS)
        runs = jax.tree.map(jnp.asarray, runs)
        density = Density.of(model, runs)
        start = jnp.median(density.prior_draws(key_start, 64), axis=0)
        first = settle(key_first, density, runs, start, steps=steps, rows=rows)
        chart = _chart(density, jnp.asarray(first.position), runs)
        position = density.recentre(jnp.asarray(first.position), chart)
        first = first._replace(
            position=np.asarray(position),
            width=np.where(np.isin(np.arange(density.size), density.indices("_raw")), 1.0, first.width),
        )
        found, stats = _still(keys, density, runs, chart, first, steps=steps, rows=rows)
        normal = random.normal(key_draws, (draws, density.size))
        points = found.position + found.width * normal
        drawn = jax.device_get(_values(density, points, runs, chart))
    return {name: np.asarray(values)[None] for name, values in drawn.items()}, stats


def _still(
    keys: Sequence[Array], density: Density, runs: Runs, chart: Chart, found: Settled, **options: int
) -> tuple[Settled, dict[str, Any]]:
    """What has settled in a chart so often that what levels share stays where it is, and what there is to say of it."""
    shared = np.setdiff1d(np.arange(density.size), density.indices("_raw"))
    moved, steps = np.inf, len(found.bound)
    for key in keys:
        before, width = found.position, jnp.asarray(found.width)
        found = settle(key, density, runs, jnp.asarray(before), chart=chart, width=width, **options)
        moved = float(np.max((abs(found.position - before) / found.width)[shared]))
        steps += len(found.bound)
        if not moved > STILL:  # or it is nan
            break
    bound = float(np.mean(found.bound[-len(found.bound) // 4 :]))
    return found, {
        "at_bound": [],
        "mode_converged": moved <= STILL,
        "moved": moved,
        "steps": steps,
        "bound": bound,
    }


@partial(jax.jit, static_argnums=0)
def _values(density: Density, points: Array, runs: Runs, chart: Chart) -> dict[str, Array]:
    return jax.lax.map(lambda point: density.values(point, runs, chart), points)


def _chart(density: Density, position: Array, runs: Runs) -> Chart:
    """The chart of a mean, from what the runs of each level say of it with all else held."""
    values, curvatures = density.constrain(position), {}
    for by in density.model.factors:
        blocks = (_curvature(density, by, values, runs, begin) for begin in range(0, len(runs), BLOCK))
        scales = np.asarray(density.scales(by, values))
        # Of raw deviations, which are over their scales and have a prior of the precision 1.
        curvatures[by] = np.asarray(sum(blocks, start=jnp.zeros(()))) * np.outer(scales, scales) + np.eye(
            len(scales)
        )
    chart = chart_of(density, position, curvatures, anchor(density.model, runs), runs, wide=values)
    # Coordinates that are taken for independent may not turn with the slope: of many levels each knows its own.
    return chart._replace(lean=None)


@partial(jax.jit, static_argnums=(0, 1))
def _curvature(density: Density, by: str, values: dict[str, Array], runs: Runs, begin: int) -> Array:
    """The curvature of minus the log likelihood in the deviations of each level of a factor, (levels, k, k).

    Of the runs from `begin` on, as many as a block has: each is of one level, so that its second derivatives are those
    of a function of a few numbers.
    """
    model, count = density.model, len(runs)
    here = begin + jnp.arange(min(BLOCK, count))
    taken = part(runs, jnp.minimum(here, count - 1), here < count)
    shifts = {of: values[f"{of}_raw"] * density.scales(of, values) for of in model.factors}
    level = taken.factors[by]
    own = taken.replace(factors=taken.factors | {by: jnp.arange(len(here))})

    def slope(shift):
        def total(at):
            with validation_enabled(False):
                mean = model.expected(own, values, shifts | {by: at})
                logs = model.noise(mean, own, values).log_prob(jnp.asarray(own.response))
            return -jnp.sum(own.weight * logs)

        return jax.grad(total)(shift)

    of_runs = shifts[by][level]
    directions = jnp.eye(of_runs.shape[1])
    columns = [jax.jvp(slope, (of_runs,), (jnp.broadcast_to(one, of_runs.shape),))[1] for one in directions]
    return jax.ops.segment_sum(jnp.stack(columns, axis=-1), level, len(runs.levels[by]))
