"""Calibration by simulation: whether posteriors hold the truth as often as they say."""

import contextlib
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import numpy as np
from jax import Array

from bayescale import recipe
from bayescale.blocks import Memory, compute
from bayescale.check import bootstrapped
from bayescale.check.calibrated import Calibration
from bayescale.check.trial import TABLES, Quantity, Sent, Trial
from bayescale.fit import Fit
from bayescale.infer.parcel import place
from bayescale.ledger import Ledger
from bayescale.model import Model
from bayescale.provenance import provenance
from bayescale.runs import Runs

ALGORITHM = 7  # of what a replicate is: a study that was begun with another is refused
SAMPLER = {"chains": 4, "draws": 250, "warmup": 300, "target": 0.9}


def calibrate(
    key: Array,
    model: Model,
    design: Runs,
    *,
    replicates: int = 1000,
    quantities: Mapping[str, Quantity] | None = None,
    truth: Fit | None = None,
    method: str = "nuts",
    folder: str | Path | None = None,
    resume: bool = False,
    executor: Executor | None = None,
    in_flight: int = 4,
    report: Callable[[int, int], None] | None = None,
    **sampler: Any,
) -> Calibration:
    """Simulate tables from the priors of a model, fit each, and see where the truth lies among the draws.

    If the sampler is right, then whatever the model the rank of the truth among independent draws is evenly
    distributed, for every quantity, and an interval holds the truth as often as it says. Tables without a converged fit
    are counted and left out. That changes nothing as far as whether a fit converges is a matter of the table alone;
    where many are left out it says little of those, and LOST_FITS says how many they are.

    With a `truth`, every table is simulated from it, perhaps by another model; then ranks are no longer even, but the
    coverage of intervals is what it would be for a user who measured such tables.

    Args:
        key: the random key; replicate number k has the same table whatever their number.
        model: the model that is fitted.
        design: covariates, factors, reference run and unit of the tables; responses do not matter.
        replicates: how many tables.
        quantities: name -> function of a fit that gives a number for each draw, such as a decision or a prediction;
            besides the parameters of law and noise, scales of levels, the first level of each factor, and the log
            likelihood of the table. A study that is resumed knows them by their names alone.
        truth: the parameters behind all tables, as `truth_of` makes them; drawn from the priors of `model` if None.
        method: "nuts", one table after another on the cores of the processor, with a second try where the first did
            not converge; "lanes", NUTS of our own for 1,024 tables in one program on the default device, for an
            accelerator and for models without levels, which tries a model and not `nuts`; "laplace"; or "bootstrap",
            which refits each table to resampled runs, without priors. Runs that share a shock are resampled together.
        folder: where blocks of replicates are kept, so that the study can be resumed; in memory if None.
        resume: go on with the study in the folder.
        executor: where blocks are computed: a process pool, Dask's `client.get_executor(pure=False)`; here if None.
            Workers are as this process: kind of processor and device, and versions.
        in_flight: the most blocks an executor is given at a time.
        report: told how many blocks are there, and of how many.
        sampler: arguments of `nuts`: chains, draws, warmup, target, depth; of a bootstrap: draws, which is how many
            refits, 1,000 if nothing is said; interval, "percentile", "basic", "bca" or "studentised"; resampling,
            "pairs" or another of `Resampling`.

    Raises:
        ValueError: the design does not suit the model, the folder holds another study, or workers cannot have what is
            asked of fits.
        ChildProcessError: a worker died.

    Source:
        Talts et al. 2018, arXiv:1804.06788; Modrak et al. 2023, arXiv:2211.02383, for the likelihood as a quantity.
    """
    if replicates < 1:
        raise ValueError(f"replicates is {replicates}; it is 1 or more")
    if method not in TABLES:
        raise ValueError(f"method is {method!r}; it is one of {', '.join(TABLES)}")
    model = model.specialise(design)
    if method == "lanes" and model.factors:
        raise ValueError("levels have deviations of their own, which lanes cannot have; take the method nuts")
    if method == "lanes" and executor is not None:
        raise ValueError("lanes are one program on one device; workers are for the other methods")
    sampler = {"laplace": {}, "bootstrap": bootstrapped.REFITS}.get(method, SAMPLER) | sampler
    if method == "bootstrap":
        bootstrapped.check(sampler)
    trial = Trial(key, model, design, truth, method, sampler, dict(quantities or {}))
    work = trial if executor is None else Sent(trial, place())
    logs = tuple(trial.signs)  # before there is a folder: what is asked may fail
    blocks = -(-replicates // TABLES[method])
    with contextlib.ExitStack() as stack:
        if folder is None:
            store: Memory | Ledger = Memory(TABLES[method])
        else:
            store = stack.enter_context(Ledger.open(folder, _settings(trial), resume=resume))
        compute(work, store, blocks, executor=executor, in_flight=in_flight, report=report)
        records = np.concatenate([store.read(number) for number in range(blocks)])[:replicates]
    return Calibration(model, design, tuple(trial.asked), logs, records, method, truth is None)


def _settings(trial: Trial) -> dict[str, Any]:
    """All that a block depends on, as plain data."""
    model, design, truth = trial.model, trial.design, trial.truth
    here = provenance(trial.key)
    said = {
        "study": "calibration",
        "algorithm": ALGORITHM,
        "records": TABLES[trial.method],
        "design": design.replace(response=np.ones(len(design))).hash,
        "unit": float(np.asarray(design.unit)),
        "model": recipe.as_data(model),
        "law": recipe.source_of(model.law),
        "method": trial.method,
        "sampler": trial.sampler,
        "quantities": list(trial.asked),
        "truth": None,
        **{name: here[name] for name in ("versions", "key")},
        **({"place": place()} if trial.method == "lanes" else {}),
    }
    if truth is not None:
        values = {name: np.asarray(v).ravel().tolist() for name, v in truth.draws.items()}
        said["truth"] = {"model": recipe.as_data(truth.model), "values": values}
    return said
