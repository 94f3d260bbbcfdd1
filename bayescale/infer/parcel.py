"""A job as bytes, for workers in other processes and on other machines: names, numbers, and the text of a law's file.

A worker makes the same model of them once, so that what it compiles serves all blocks.
"""

import io
import json
import platform
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax import random

from bayescale import recipe
from bayescale.infer.replicates import Job
from bayescale.infer.resample import Resampling
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


class Parcel:
    """A job that can be sent. Called with the numbers of blocks it gives them, wherever it is.

    Raises:
        ValueError: the job has a law that is in no file, or a prior or a noise that cannot be named.
    """

    def __init__(self, job: Job, begun: dict[str, Any]):
        runs = job.runs
        arrays = {"response": runs.response, "weight": runs.weight, "key": job.key}
        arrays |= {"starts": job.starts, "bases": job.bases}
        arrays |= {f"column {name}": values for name, values in runs.columns.items()}
        arrays |= {f"factor {name}": index for name, index in runs.factors.items()}
        held = io.BytesIO()
        np.savez(held, allow_pickle=False, **{name: np.asarray(values) for name, values in arrays.items()})
        self.arrays = held.getvalue()
        self.text = json.dumps(
            {
                "place": begun,
                "model": recipe.as_data(job.model),
                "law": recipe.source_of(job.model.law),
                "reference": {name: float(np.asarray(v)) for name, v in runs.reference.items()},
                "unit": float(np.asarray(runs.unit)),
                "levels": runs.levels,
                "kind": runs.kind,
                "resampling": vars(job.resampling),
                "priors": job.priors,
                "mixed": job.mixed,
                "errors": job.errors,
            }
        )

    def __call__(self, numbers: tuple[int, ...]) -> list[np.ndarray]:
        """The blocks of these numbers, each (1024,)."""
        job = opened(self.text, self.arrays)
        return [block for number in numbers for block in job((number,))]


@lru_cache(maxsize=4)
def opened(text: str, arrays: bytes) -> Job:
    """The job in a parcel."""
    said: dict[str, Any] = json.loads(text)
    if said["place"] != (here := place()):
        raise ValueError(
            f"this worker has {here}, and the study was begun with {said['place']}; take workers alike"
        )
    with np.load(io.BytesIO(arrays), allow_pickle=False) as held:
        found = dict(held)

    def part(which: str) -> dict[str, Any]:
        return {name.removeprefix(which): v for name, v in found.items() if name.startswith(which)}

    runs = Runs(
        columns=part("column "),
        response=found["response"],
        factors=part("factor "),
        weight=found["weight"],
        reference={name: np.float64(value) for name, value in said["reference"].items()},
        unit=np.float64(said["unit"]),
        levels={name: tuple(levels) for name, levels in said["levels"].items()},
        kind=said["kind"],
    )
    return Job(
        recipe.as_model(said["model"], _law(said["law"])),
        runs,
        said["priors"],
        Resampling(**said["resampling"]),
        found["key"],
        found["starts"],
        found["bases"],
        said["mixed"],
        said["errors"],
    )


def _law(source: str | None):
    if source is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "law.py"
        file.write_text(source, encoding="utf-8")
        return recipe.law_in(file)
