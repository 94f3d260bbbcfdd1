"""A job as bytes, for workers in other processes and on other machines: names, numbers, and the text of a law's file.

A worker makes the same model of them once, so that what it compiles serves all blocks.
"""

import io
import json
import platform
import tempfile
from concurrent.futures import Executor
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import random

from bayescale import recipe
from bayescale.blocks import lost
from bayescale.infer.replicates import Job
from bayescale.infer.resample import Resampling
from bayescale.model import Model
from bayescale.provenance import provenance
from bayescale.runs import Runs


def place() -> dict[str, Any]:
    """What the bits of a block depend on besides the study: the kind of device, and the versions.

    Processors that multiply and add in one step round otherwise than those that cannot, so what they can is named.
    """
    versions = {
        name: value for name, value in provenance(random.key(0))["versions"].items() if name != "numpy"
    }
    return {
        "platform": jax.devices()[0].platform,
        "device": jax.devices()[0].device_kind,
        "machine": platform.machine(),
        "simd": np.show_config(mode="dicts")["SIMD Extensions"]["found"],
        "versions": versions,
    }


def place_of(executor: Executor) -> dict[str, Any]:
    """What workers are, before they are given any work.

    Raises:
        ChildProcessError: there are none.
    """
    try:
        return executor.submit(place).result()
    except Exception as error:
        if not lost(error):
            raise
        raise ChildProcessError(
            "no worker came up, or the first one died at once: nothing was computed. Do workers have bayescale, and is "
            "there memory for it?"
        ) from error


class Packed(NamedTuple):
    """A model, a table and what goes with them, as text and bytes."""

    text: str
    arrays: bytes


class Unpacked(NamedTuple):
    """The same as they were.

    Attributes:
        model: the model.
        runs: the table.
        arrays: that went with them, by name.
        said: what else was said of them.
    """

    model: Model
    runs: Runs
    arrays: dict[str, np.ndarray]
    said: dict[str, Any]


def packed(model: Model, runs: Runs, begun: dict[str, Any], arrays: dict[str, Any], **said: Any) -> Packed:
    """A model and a table, with arrays and plain data, for workers that are what is said of the place.

    Raises:
        ValueError: the model has a law that is in no file, or a prior or a noise that cannot be named.
    """
    every = {"response": runs.response, "weight": runs.weight}
    every |= {f"column {name}": values for name, values in runs.columns.items()}
    every |= {f"factor {name}": index for name, index in runs.factors.items()}
    every |= {f"own {name}": values for name, values in arrays.items()}
    held = io.BytesIO()
    np.savez(held, allow_pickle=False, **{name: np.asarray(values) for name, values in every.items()})
    text = json.dumps(
        {
            "place": begun,
            "model": recipe.as_data(model),
            "law": recipe.source_of(model.law),
            "reference": {name: float(np.asarray(v)) for name, v in runs.reference.items()},
            "unit": float(np.asarray(runs.unit)),
            "levels": runs.levels,
            "kind": runs.kind,
            "said": said,
        }
    )
    return Packed(text, held.getvalue())


@lru_cache(maxsize=8)
def unpacked(it: Packed) -> Unpacked:
    """What was packed; the same objects each time.

    Raises:
        ValueError: this is not the kind of place that it was packed for.
    """
    whole: dict[str, Any] = json.loads(it.text)
    if whole["place"] != (here := place()):
        raise ValueError(
            f"this worker has {here}, and the study was begun with {whole['place']}; take workers alike"
        )
    with np.load(io.BytesIO(it.arrays), allow_pickle=False) as held:
        found = dict(held)

    def part(which: str) -> dict[str, Any]:
        return {name.removeprefix(which): v for name, v in found.items() if name.startswith(which)}

    runs = Runs(
        columns=part("column "),
        response=found["response"],
        factors=part("factor "),
        weight=found["weight"],
        reference={name: np.float64(value) for name, value in whole["reference"].items()},
        unit=np.float64(whole["unit"]),
        levels={name: tuple(levels) for name, levels in whole["levels"].items()},
        kind=whole["kind"],
    )
    model = recipe.as_model(whole["model"], _law(whole["law"]))
    return Unpacked(model, runs, part("own "), whole["said"])


class Parcel:
    """A job of a bootstrap that can be sent. Called with the numbers of blocks it gives them, wherever it is.

    Raises:
        ValueError: the job has a law that is in no file, or a prior or a noise that cannot be named.
    """

    def __init__(self, job: Job, begun: dict[str, Any]):
        arrays = {"key": job.key, "starts": job.starts, "bases": job.bases}
        said = {"resampling": vars(job.resampling), "priors": job.priors}
        self.packed = packed(job.model, job.runs, begun, arrays, mixed=job.mixed, errors=job.errors, **said)

    def __call__(self, numbers: tuple[int, ...]) -> list[np.ndarray]:
        """The blocks of these numbers, each (1024,)."""
        job = _job(self.packed)
        return [block for number in numbers for block in job((number,))]


@lru_cache(maxsize=4)
def _job(it: Packed) -> Job:
    model, runs, arrays, said = unpacked(it)
    return Job(model, runs, **arrays, **{**said, "resampling": Resampling(**said["resampling"])})


@lru_cache(maxsize=8)  # two models of one law have one law
def _law(source: str | None):
    if source is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "law.py"
        file.write_text(source, encoding="utf-8")
        return recipe.law_in(file)
