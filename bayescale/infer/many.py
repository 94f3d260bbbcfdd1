"""Posterior draws for many tables at once: folds of a back-test, a table without the ends of its design."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
from jax import Array, random

from bayescale import parallel
from bayescale.fit import Fit
from bayescale.infer.nuts import Begun, Tried, again, attempt, begin
from bayescale.model import Model
from bayescale.runs import Runs


def nuts_each(key: Array, model: Model, tables: Sequence[Runs], **sampler: Any) -> list[Fit]:
    """The fits that `nuts` makes of each of some tables, sampled side by side on the cores of the processor.

    Tables alike in runs, columns, factors and levels are compiled for once: to leave a run out, give it the weight 0.
    A lane for each chain of each table, in one program, was tried; it waits for the longest tree of them all, and took
    as long as one table after the other, or half as long again.

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
        begun = [begin(random.fold_in(key, k), model, table, tried) for k, table in enumerate(tables)]

        def first(one: Begun) -> Fit:
            with parallel.workbench():  # precision and device are those of a thread
                return attempt(one, tried, None)

        # NumPyro must not trace in two threads at once: what is like none before it is traced here, the rest is run.
        traced, fits = set(), {}
        for k, one in enumerate(begun):
            if (like := (one.density, len(one.runs), jax.tree.structure(one.runs))) not in traced:
                traced.add(like)
                fits[k] = first(one)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            left = [k for k in range(len(begun)) if k not in fits]
            fits |= dict(zip(left, pool.map(first, [begun[k] for k in left]), strict=True))
        return [
            fits[k] if fits[k].converged else again(one, tried, fits[k], None) for k, one in enumerate(begun)
        ]
