"""The variational approximation of a posterior: for tables of a million runs and thousands of levels."""

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
from bayescale.infer.settle import STEPS, settle
from bayescale.model import Model
from bayescale.provenance import provenance
from bayescale.runs import Runs

SMALL = 3000  # runs of the part of a table on which NUTS says what the approximation is worth
FINER = 0.02  # the first rate of learning in the chart, where the mean has little way to go
BLOCK = 1 << 18  # runs whose second derivatives are found at a time


def variational(
    key: Array, model: Model, runs: Runs, *, draws: int = 1000, steps: int = STEPS, check: bool = True
) -> Fit:
    """Draws from the normal distribution nearest to a posterior, with independent coordinates: an approximation.

    The coordinates are those that NUTS samples in: deviations given their scales, as far as the data of each level
    tell. First it settles without them, then they are made, and it settles in them. Each step takes some thousands of
    runs at random, so that a step costs the same for a table of any length.

    What it is worth is measured: on a part of the table small enough for NUTS the means are compared, in posterior
    standard deviations, and so are the widths. `stats` has "error", the median over what levels share of the distance
    of the means, and "narrow", the median ratio of widths; the fit says so wherever it appears.

    Args:
        key: the random key.
        model: the model; effects left open are chosen from the table.
        runs: the table.
        draws: how many.
        steps: of each of both stages.
        check: whether to measure what it is worth.

    Raises:
        ValueError: the model does not suit the table, or has no levels with deviations.

    Source:
        Hoffman et al. 2013, arXiv:1206.7051; Kucukelbir et al. 2017, arXiv:1603.00788.
    """
    model = model.specialise(runs)
    if not model.factors:
        raise ValueError("the model has no levels with deviations; NUTS is fast, and exact: use nuts")
    found, stats = _approximated(key, model, runs, draws, steps)
    if check:
        stats |= measured(random.fold_in(key, 1), model, runs, steps=steps)
    return Fit(model, runs, found, "svi", stats | provenance(key))


def measured(
    key: Array, model: Model, runs: Runs, *, rows: int = SMALL, steps: int = STEPS
) -> dict[str, Any]:
    """The error of the approximation against NUTS, on a part of the table that has about so many runs.

    The part has some of the levels of the factors, at random, with all their runs.
    """
    part = some_levels(np.random.default_rng(np.asarray(random.key_data(key))), model, runs, rows)
    model = model.specialise(part)
    exact = nuts(key, model, part, draws=500, warmup=300, target=0.9, retry=False)
    found, _ = _approximated(key, model, part, 2000, steps)
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
        "checked": len(part),
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
    key: Array, model: Model, runs: Runs, draws: int, steps: int
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Draws, site -> (1, draws, ...), and what there is to say of them."""
    with parallel.bench():  # on an accelerator, if there is one: a large table is much work for each step
        key_start, key_first, key_second, key_draws = random.split(key, 4)
        runs = jax.tree.map(jnp.asarray, runs)
        density = Density.of(model, runs)
        start = jnp.median(density.prior_draws(key_start, 64), axis=0)
        first = settle(key_first, density, runs, start, steps=steps)
        chart = _chart(density, jnp.asarray(first.position), runs)
        moved = density.recentre(jnp.asarray(first.position), chart)
        width = np.where(np.isin(np.arange(density.size), density.indices("_raw")), 1.0, first.width)
        last = settle(
            key_second, density, runs, moved, chart=chart, width=jnp.asarray(width), steps=steps, rate=FINER
        )
        normal = random.normal(key_draws, (draws, density.size))
        found = jax.device_get(_values(density, last.position + last.width * normal, runs, chart))
    tail = last.bound[-steps // 4 :]
    scatter = np.std(tail) / np.sqrt(len(tail) / 2)
    change = float(np.mean(tail[len(tail) // 2 :]) - np.mean(tail[: len(tail) // 2]))
    settled = bool(np.isfinite(tail).all() and change < 5 * scatter + 1.0)
    stats = {"at_bound": [], "mode_converged": settled, "bound": float(np.mean(tail)), "bound_change": change}
    return {name: np.asarray(values)[None] for name, values in found.items()}, stats | {"steps": 2 * steps}


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
    chart = chart_of(density, position, curvatures, anchor(density.model, runs), runs)
    # Coordinates that are taken for independent may not turn with the slope: of many levels each knows its own.
    return chart._replace(lean=None)


@partial(jax.jit, static_argnums=(0, 1))
def _curvature(density: Density, by: str, values: dict[str, Array], runs: Runs, begin: int) -> Array:
    """The curvature of minus the log likelihood in the deviations of each level of a factor, (levels, k, k).

    Of the runs from `begin` on, as many as a block has: each is of one level, so that its second derivatives are those
    of a function of a few numbers.
    """
    model = density.model
    here = begin + jnp.arange(min(BLOCK, len(runs)))
    counts = here < len(runs)
    taken = jax.tree.map(
        lambda leaf: jnp.asarray(leaf)[jnp.minimum(here, len(runs) - 1)] if jnp.ndim(leaf) else leaf, runs
    )
    shifts = {of: values[f"{of}_raw"] * density.scales(of, values) for of in model.factors}
    level = taken.factors[by]
    own = taken.replace(factors=taken.factors | {by: jnp.arange(len(here))})

    def slope(shift):
        def total(at):
            with validation_enabled(False):
                mean = model.expected(own, values, shifts | {by: at})
                logs = model.noise(mean, own, values).log_prob(jnp.asarray(own.response))
            return -jnp.sum(jnp.where(counts, own.weight * logs, 0.0))

        return jax.grad(total)(shift)

    of_runs = shifts[by][level]
    directions = jnp.eye(of_runs.shape[1])
    columns = [jax.jvp(slope, (of_runs,), (jnp.broadcast_to(one, of_runs.shape),))[1] for one in directions]
    return jax.ops.segment_sum(jnp.stack(columns, axis=-1), level, len(runs.levels[by]))
