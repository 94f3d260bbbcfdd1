"""Replicates: block number k of a bootstrap, the same wherever it is computed."""

from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax, random

from bayescale import parallel
from bayescale.blocks import BLOCK
from bayescale.infer.objective import Objective
from bayescale.infer.plan import Plan, plan_of
from bayescale.infer.point import FEW_RUNS
from bayescale.infer.refit import minima
from bayescale.infer.resample import Resampling
from bayescale.model import Model
from bayescale.runs import Runs

UNFINISHED, CONVERGED, AT_BOUND = 0, 1, 2  # the state of a replicate


@dataclass(frozen=True, eq=False)
class Job:
    """All that a block depends on. Called with the numbers of blocks, it gives them.

    Args:
        model: the model, with its effects chosen.
        runs: the table.
        priors: whether the priors count.
        resampling: how replicates are drawn.
        key: the data of the random key.
        starts: where refits begin, (starts, free); the first is the fit of the table itself.
        bases: flat vectors that have what is held, (rungs, size).
        mixed: whether the first steps of a refit are in single precision.
        errors: whether each replicate has its own covariance.
    """

    model: Model
    runs: Runs
    priors: bool
    resampling: Resampling
    key: np.ndarray
    starts: np.ndarray
    bases: np.ndarray
    mixed: bool = True
    errors: bool = False

    @cached_property
    def objective(self) -> Objective:
        """What refits minimise."""
        return Objective.of(self.model, self.runs, priors=self.priors)

    @cached_property
    def plan(self) -> Plan:
        """Where refits begin, and what replicates are drawn about."""
        with parallel.workbench():
            return plan_of(
                self.objective, self.starts, self.bases, self.runs, self.resampling.units(self.runs)
            )

    def __call__(self, numbers: tuple[int, ...]) -> list[np.ndarray]:
        """The blocks of these numbers, each (1024,); at most `parallel.together()`."""
        with parallel.bench():
            # Each device has one, two, four and so on: any other number would be another program.
            count = parallel.devices() << (-(-len(numbers) // parallel.devices()) - 1).bit_length()
            plan, every = self.plan, np.resize(np.asarray(numbers, np.uint32), count)
            together = _spread(self.objective, self.resampling, self.mixed, self.errors)
            found = jax.device_get(together(every, self.key, plan, self.runs))
        return [_records({name: value[i] for name, value in found.items()}) for i in range(len(numbers))]

    def changed(self, changes: dict[str, np.ndarray]) -> np.ndarray:
        """Refits of tables that differ from this one in some fields, each (fits, ...), as records, (fits,)."""
        count = len(next(iter(changes.values())))
        filled = {
            n: np.concatenate([v, np.repeat(v[:1], -count % BLOCK, axis=0)]) for n, v in changes.items()
        }
        found = []
        with parallel.bench():
            for begin in range(0, count, BLOCK):
                some = {name: values[begin : begin + BLOCK] for name, values in filled.items()}
                found.append(
                    jax.device_get(
                        _refitted(
                            self.objective, some, self.plan, self.runs, mixed=self.mixed, errors=self.errors
                        )
                    )
                )
        return np.concatenate([_records(one) for one in found])[:count]

    def moved(self, records: np.ndarray, free: int, by: np.ndarray) -> np.ndarray:
        """Records in which what is free number `free` is moved by some amounts, (records,), in the space of refits."""
        objective = self.objective
        density, place = objective.density, int(objective.places[free])
        site = next(s for s in density.sites if s.start <= place < s.start + s.size)
        if site.shape != ():
            raise ValueError(
                "deviations of levels have no standard errors of their own; take a percentile interval"
            )
        changed = records.copy()
        with parallel.workbench():
            changed[site.name] = site.transform(site.transform.inv(jnp.asarray(records[site.name])) + by)
        return changed


def _records(found: dict[str, Array]) -> np.ndarray:
    """The results of a block as records."""
    values = {name: np.asarray(value) for name, value in found.items()}
    kinds = [(name, value.dtype, value.shape[1:]) for name, value in values.items()]
    records = np.zeros(len(next(iter(values.values()))), kinds)
    for name, value in values.items():
        records[name] = value
    return records


@lru_cache(maxsize=32)
def _spread(objective: Objective, resampling: Resampling, mixed: bool, errors: bool):
    """Blocks on all devices; studies of one model share what is compiled."""
    return parallel.spread(partial(block, objective, resampling, mixed=mixed, errors=errors))


@partial(jax.jit, static_argnums=(0, 1), static_argnames=("mixed", "errors"))
def block(
    objective: Objective,
    resampling: Resampling,
    numbers: Array,
    key: Array,
    plan: Plan,
    runs: Runs,
    *,
    mixed: bool,
    errors: bool,
) -> dict[str, Array]:
    """The replicates of some blocks: site -> (blocks, 1024, ...), and `objective`, `state`, `looks`, (blocks, 1024).

    Replicate k has the random key that k folds into that of the study, whatever else there is.
    """
    of_all = random.wrap_key_data(key)
    within = jnp.arange(BLOCK, dtype=jnp.uint32)
    places = (numbers.astype(jnp.uint32)[:, None] * jnp.uint32(BLOCK) + within).ravel()

    def one(place):
        return resampling.changes(random.fold_in(of_all, place), runs, plan.about, objective.density.model)

    found = _refitted(objective, jax.vmap(one)(places), plan, runs, mixed=mixed, errors=errors)
    return {name: value.reshape(len(numbers), BLOCK, *value.shape[1:]) for name, value in found.items()}


@partial(jax.jit, static_argnums=0, static_argnames=("mixed", "errors"))
def _refitted(
    objective: Objective, changes: dict[str, Array], plan: Plan, runs: Runs, *, mixed: bool, errors: bool
) -> dict[str, Any]:
    fits = len(next(iter(changes.values())))
    first = jnp.broadcast_to(plan.starts[0], (fits, plan.starts.shape[1]))
    nothing = jnp.zeros(fits, jnp.uint8)
    every = len(runs) < FEW_RUNS

    def attempt(i, best):
        rung, start = i // len(plan.starts), i % len(plan.starts)
        position, value, state, looks = best
        # On a new rung what was reached on the one before is where to begin, and no result.
        begins, last = (start == 0) & (rung > 0), rung == len(plan.bases) - 1
        state = jnp.where(begins, UNFINISHED, state).astype(jnp.uint8)
        # Few runs take every start, and so does whatever did not end at a minimum.
        again = ((rung == 0) & every) | (last & (state != CONVERGED))
        wanted = jnp.broadcast_to((start == 0) | again, (fits,))
        begin = jnp.where(begins, position, jnp.broadcast_to(plan.starts[start], first.shape))
        found = minima(objective, begin, plan.bases[rung], runs, changes, wanted, mixed=mixed)
        ended = jnp.where(
            found.converged, CONVERGED, jnp.where(jnp.any(found.at_bound, axis=1), AT_BOUND, UNFINISHED)
        )
        # A minimum that is lower by rounding only is the same one.
        lower = found.value < value - 1e-12 * jnp.abs(value)
        better = wanted & ((i == 0) | begins | (ended > 0) & ((state == UNFINISHED) | lower))
        return (
            jnp.where(better[:, None], found.position, position),
            jnp.where(better, found.value, value),
            jnp.where(better, ended, state).astype(jnp.uint8),
            looks + jnp.where(wanted, found.looks, 0),
        )

    begin = (first, jnp.full(fits, jnp.inf), nothing, jnp.zeros(fits, int))
    attempts = len(plan.bases) * len(plan.starts)
    position, value, state, looks = lax.fori_loop(0, attempts, attempt, begin)
    base = plan.bases[-1]

    def sites(position, value, mine):
        own = runs.replace(**mine)
        vector = base.at[objective.places].set(position)
        if objective.scale_follows:
            vector = vector.at[objective.density.place("sigma")].set(objective.scale(value, base, own))
        return objective.density.values(vector, runs)

    found = jax.vmap(sites)(position, value, changes)
    found = {name: found[name] for name in found if name not in objective.settings}
    if errors:
        # A replicate of clusters has scores that its clusters share.
        units = plan.about.units[0]

        def covariance(position, mine):
            own, table = runs.replace(**mine), jnp.asarray(runs.weight)
            times = jnp.where(table > 0, jnp.asarray(own.weight) / jnp.where(table > 0, table, 1), 0)
            return objective.covariance(position, base, own, times, units)

        found["covariance"] = lax.map(lambda one: covariance(*one), (position, changes), batch_size=32)
    return found | {"objective": value, "state": state, "looks": jnp.minimum(looks, 65535).astype(jnp.uint16)}
