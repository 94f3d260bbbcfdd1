"""Bootstrap: many refits of resampled runs, in blocks that survive whatever happens to who computes them."""

import contextlib
import hashlib
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, random

from bayescale import parallel, recipe, storage
from bayescale.blocks import BLOCK, Memory, compute
from bayescale.fit import Fit
from bayescale.infer.objective import Objective
from bayescale.infer.optimize import fitted, point
from bayescale.infer.parcel import Parcel, place, place_of
from bayescale.infer.plan import STARTS
from bayescale.infer.replicates import Job
from bayescale.infer.resample import Resampling
from bayescale.infer.study import Study
from bayescale.law import Law
from bayescale.ledger import Ledger
from bayescale.model import Model
from bayescale.provenance import provenance
from bayescale.runs import Runs
from bayescale.settings import as_json, check_same

ALGORITHM = 5  # goes up with every change after which a replicate has other bits
POINT = "fit.nc"
NO_PLAN = np.zeros((0, 0))  # until there is one


def bootstrap(
    key: Array,
    model: Model,
    runs: Runs,
    *,
    replicates: int = 4096,
    resampling: Resampling | None = None,
    priors: bool = False,
    errors: bool = False,
    mixed: bool = True,
    folder: str | Path | None = None,
    resume: bool = False,
    executor: Executor | None = None,
    in_flight: int = 4,
    report: Callable[[int, int], None] | None = None,
) -> Study:
    """Refit a model to resampled runs, as often as asked for.

    Replicate number k is the same, to the bit, however many there are and whoever computes them.

    Args:
        key: the random key.
        model: the model. Effects left open are none: what runs share is for `resampling` to keep together.
        runs: the table.
        replicates: how many.
        resampling: how they are drawn; runs with replacement, if None.
        priors: whether the priors count.
        errors: whether each replicate gets standard errors of its own, which studentised intervals need.
        mixed: whether the first steps of a refit are in single precision. The last are not.
        folder: where blocks are kept, so that the study can be resumed; in memory if None.
        resume: go on with the study in the folder.
        executor: where blocks are computed: a process pool, Dask's `client.get_executor(pure=False)`; here if None.
        in_flight: the most calls an executor is given at a time.
        report: told how many blocks are there, and of how many.

    Raises:
        ValueError: the table cannot teach the model or be resampled so, or the folder holds another study.
        ChildProcessError: a worker died.
        OSError: a block cannot be written.
    """
    if not 0 < replicates <= 2**32:
        raise ValueError(f"replicates is {replicates}; it is from 1 to 2^32, beyond which random keys repeat")
    resampling = resampling or Resampling()
    model = (model if model.effects is not None else model.replace(effects=())).specialise(runs)
    resampling.check(model, runs)
    if errors and len(resampling.cluster) > 1:
        raise ValueError(
            "where clusters cross, replicates have no standard errors; name one cluster, or ask for none"
        )
    folder = Path(folder) if folder is not None else None
    key = key if jnp.issubdtype(key.dtype, jax.dtypes.prng_key) else random.wrap_key_data(key)
    if random.key_data(key).shape != (2,):
        raise ValueError(
            "the random key is not one of jax.random.key(seed) as it comes; other kinds are not told apart"
        )
    with parallel.bench():
        *keys, of_replicates = random.split(key, 3)
    data = np.asarray(random.key_data(of_replicates))
    job = Job(model, runs, priors, resampling, data, NO_PLAN, NO_PLAN, mixed=mixed, errors=errors)
    begun_at = place() if executor is None else place_of(executor)
    begun = _begun(folder, job, begun_at) if folder is not None and resume else None
    job, point = _planned(job, keys, provenance(key), begun)
    blocks = -(-replicates // BLOCK)
    with contextlib.ExitStack() as stack:
        if folder is None:
            store: Ledger | Memory = Memory()
        else:
            store = stack.enter_context(Ledger.open(folder, _settings(job, begun_at), resume=resume))
            if not (folder / POINT).exists():
                storage.save(point, folder / POINT)
        if executor is None:  # a thread computes the next blocks while this one writes the last to the disk
            here = stack.enter_context(ThreadPoolExecutor(1))
            compute(
                job, store, blocks, executor=here, together=parallel.together(), in_flight=2, report=report
            )
        else:
            compute(
                Parcel(job, begun_at), store, blocks, executor=executor, in_flight=in_flight, report=report
            )
    return Study(point, job, store, replicates)


def load_study(folder: str | Path, *, law: Law | None = None) -> Study:
    """The study in a folder, as far as it has come; it is not changed.

    Args:
        folder: the folder.
        law: the law, where it is none of `bayescale.models`.

    Raises:
        FileNotFoundError: there is no study.
        ValueError: it has no block yet, or something is damaged.
    """
    ledger = Ledger.read_only(folder)
    point = storage.load(Path(folder) / POINT, law=law)
    said = ledger.settings
    if law is not None and _hash(recipe.source_of(law)) != said["law"]:
        raise ValueError(f"{folder}: the file of law {law.name} is not what it was when the study was begun")
    job = Job(
        point.model,
        point.runs,
        said["priors"],
        Resampling(**said["resampling"]),
        np.array(said["key"], np.uint32),
        **_arrays(said["plan"]),
        mixed=said["mixed"],
        errors=said["errors"],
    )
    blocks = ledger.leading()
    if not blocks:
        raise ValueError(f"{folder}: the study has no block yet; resume it")
    return Study(point, job, ledger, blocks * BLOCK)


def _settings(job: Job, begun_at: dict[str, Any]) -> dict[str, Any]:
    """All that a block depends on, as plain data."""
    return {
        "study": "bootstrap",
        "algorithm": ALGORITHM,
        "runs": job.runs.hash,
        "reference": {name: repr(float(np.asarray(v))) for name, v in job.runs.reference.items()},
        "unit": float(np.asarray(job.runs.unit)),
        "model": recipe.as_data(job.model),
        "law": _hash(recipe.source_of(job.model.law)),
        "priors": job.priors,
        "resampling": {
            "kind": job.resampling.kind,
            "cluster": list(job.resampling.cluster),
            "signs": job.resampling.signs,
        },
        "key": job.key.tolist(),
        "mixed": job.mixed,
        "errors": job.errors,
        **begun_at,
        "plan": {"starts": job.starts.tolist(), "bases": job.bases.tolist()},
    }


def _hash(text: str | None) -> str | None:
    return text and hashlib.sha256(text.encode()).hexdigest()


def _begun(folder: Path, job: Job, begun_at: dict[str, Any]) -> dict[str, np.ndarray] | None:
    """Where the refits of the study in a folder begin, if there is one.

    Raises:
        ValueError: it is of another job.
    """
    if not (folder / "study.json").is_file():
        return None
    said = Ledger.read_only(folder).settings
    # The plan is of its model, so what else there is has to be the same before it is of use.
    check_same(folder, said, as_json(_settings(job, begun_at) | {"plan": said.get("plan")}))
    return _arrays(said["plan"])


def _arrays(said: dict[str, list]) -> dict[str, np.ndarray]:
    return {name: np.array(values, float) for name, values in said.items()}


def _planned(job: Job, keys, stats: dict[str, Any], begun) -> tuple[Job, Fit]:
    """The job with its plan, and the fit of the table itself."""
    model, runs, (key_point, key_starts) = job.model, job.runs, keys
    with parallel.workbench():
        objective = Objective.of(model, runs, priors=job.priors)
        found = point(key_point, objective, model, runs)
        if begun is None:
            drawn = np.asarray(objective.density.prior_draws(key_starts, STARTS - 1))[:, objective.places]
            # Where levels deviate, draws from the prior come without the deviations.
            others = drawn[: 0 if model.factors else None]
            begun = {"starts": np.concatenate([found.position[None], others]), "bases": found.bases}
    reached = found._replace(position=begun["starts"][0], bases=begun["bases"])
    return replace(job, **begun), fitted(objective, reached, model, runs, stats)
