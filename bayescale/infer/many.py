"""Posterior draws for many tables at once: folds of a back-test, a table without some runs, simulations."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, random

from bayescale import parallel
from bayescale.fit import Fit
from bayescale.infer.density import Density
from bayescale.infer.frames import frames
from bayescale.infer.lanes import sample
from bayescale.infer.nuts import Begun, Tried, again, attempt, begin
from bayescale.model import Model
from bayescale.provenance import provenance
from bayescale.runs import Runs


def nuts_each(key: Array, model: Model, tables: Sequence[Runs], **sampler: Any) -> list[Fit]:
    """The fits that `nuts` makes of each of some tables, sampled side by side on the cores of the processor.

    Tables alike in runs, columns, factors and levels are compiled for once: to leave a run out, give it the weight 0.
    On a processor a lane for each chain of each table, as `nuts_in_lanes` has it, takes as long or longer.

    Args:
        key: the random key; that of table number k is `fold_in(key, k)`.
        model: the model; effects left open are chosen from each table.
        tables: the tables.
        sampler: arguments of `nuts`: chains, draws, warmup, target, depth.

    Raises:
        ValueError: the model does not suit a table, or its density is nowhere finite.
    """
    tried = Tried(**sampler)
    with parallel.workbench():
        begun = dict(
            enumerate(begin(random.fold_in(key, k), model, table, tried) for k, table in enumerate(tables))
        )
    fits = tries(begun, tried, lambda fit: fit.converged)
    return [fits[k] for k in begun]


def tries(begun: Mapping[int, Begun], tried: Tried, good: Callable[[Fit], bool]) -> dict[int, Fit]:
    """The fits of what was begun, side by side on the cores; those that are not good are tried once more.

    A fit with divergent draws is never good.
    """
    with parallel.workbench():
        first = _side_by_side(begun, lambda k, cores: attempt(begun[k], tried, None, hasty=True, cores=cores))
        left = {k: begun[k] for k, fit in first.items() if not good(fit)}
        return first | _side_by_side(
            left, lambda k, cores: again(begun[k], tried, first[k], None, cores=cores)
        )


def _side_by_side(begun: Mapping[int, Begun], sample: Callable[[int, int], Fit]) -> dict[int, Fit]:
    """A fit of each, sampled in threads, of its number and how many cores its chains have."""

    def sampled(k: int) -> Fit:
        with parallel.workbench():  # precision and device are those of a thread
            return sample(k, 1)

    # NumPyro must not trace in two threads at once: what is like none before it is traced here, the rest is run.
    traced, fits = set(), {}
    for k, one in begun.items():
        if (like := (one.density, len(one.runs), jax.tree.structure(one.runs))) not in traced:
            traced.add(like)
            fits[k] = sample(k, parallel.cores())
    with ThreadPoolExecutor(parallel.cores()) as pool:
        left = [k for k in begun if k not in fits]
        return fits | dict(zip(left, pool.map(sampled, left), strict=True))


def nuts_in_lanes(
    keys: Array, model: Model, design: Runs, responses: np.ndarray, **sampler: Any
) -> list[Fit | None]:
    """Fits of many tables of one design in one program, on the device that is the default; None where no mode is found.

    There is one try only. Where memory is not enough for all tables, each half of them is a program of its own; the
    random numbers of a table stay the same.

    Args:
        keys: a random key for each table, (tables,).
        model: the model, with its effects chosen; none of its levels deviate.
        design: the runs; their responses do not matter.
        responses: of each table, (tables, runs).
        sampler: arguments of `nuts`: chains, draws, warmup, target, depth.

    Raises:
        ValueError: levels of the model deviate, or an argument of the sampler makes no sense.
    """
    tried = Tried(**sampler)
    tried.check()
    if model.factors:
        raise ValueError("levels have deviations of their own, which lanes cannot have; take the method nuts")
    try:
        return _in_one_program(keys, model, design, responses, tried)
    except (MemoryError, RuntimeError) as error:
        if not parallel.exhausted(error) or len(responses) == 1:
            raise
    middle = len(responses) // 2
    halves = ((keys[part], responses[part]) for part in (slice(middle), slice(middle, None)))
    return [fit for own, half in halves for fit in nuts_in_lanes(own, model, design, half, **sampler)]


def _in_one_program(
    keys: Array, model: Model, design: Runs, responses: np.ndarray, tried: Tried
) -> list[Fit | None]:
    with parallel.bench():
        of_frames, of_draws = jax.vmap(random.split, out_axes=1)(keys)
        density, own, one = (
            Density.of(model, design),
            jnp.asarray(responses),
            design.replace(response=responses[0]),
        )
        places, found = frames(of_frames, density, one, own)
        drawn = sample(of_draws, _energy(density), (places, own), (one,), density.size, **tried._asdict())
        values = jax.device_get(_values(density, drawn.draws, drawn.root, places, own, one))
        steps, diverging, found = jax.device_get((drawn.gradients, drawn.diverging, found))
    stats = {"mode_converged": True, "at_bound": [], "target": tried.target, "depth": tried.depth}
    fits: list[Fit | None] = []
    for i, response in enumerate(responses):
        table = design.replace(response=response, source=f"simulated, {design.source}", notes=())
        own_stats = {
            "diverging": diverging[i],
            "num_steps": steps[i],
            "tree_depth": np.ceil(np.log2(steps[i] + 1)).astype(np.int32),
            **provenance(keys[i]),
        }
        draws = {name: value[i] for name, value in values.items()}
        fits.append(Fit(model, table, draws, "nuts", stats | own_stats) if found[i] else None)
    return fits


@lru_cache(maxsize=64)
def _energy(density: Density) -> Callable[..., Array]:
    """Minus the log density in the coordinates of a frame, the same function whenever it is of the same density."""

    def energy(vector, place, response, runs):
        at = place.position + place.root @ vector
        return -density.log_posterior(at, runs.replace(response=response), place.chart)

    return energy


@partial(jax.jit, static_argnums=0)
def _values(
    density: Density, draws: Array, root: Array, places, responses: Array, runs: Runs
) -> dict[str, Array]:
    """Every site at the draws of each table."""

    def of_table(draws, root, place, response):
        def one(vector):
            at = place.position + place.root @ (root @ vector)
            return density.values(at, runs.replace(response=response), place.chart)

        return jax.vmap(jax.vmap(one))(draws)

    return jax.vmap(of_table)(draws, root, places, responses)
