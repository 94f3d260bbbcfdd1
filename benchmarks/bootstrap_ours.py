"""Our side of `benchmarks/bootstrap.py`: what is refitted, in this process and in one of its own.

As a script it is one whole process: a study of some replicates, kept in a folder if one is named, and its quantiles.
What that took is told on standard output, as JSON.

    python benchmarks/bootstrap_ours.py chinchilla 4096 [folder]
"""

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

STARTED = time.perf_counter()

import numpy as np  # noqa: E402
from bootstrap_peers import DELTA  # noqa: E402
from nuts import DATA, spread  # noqa: E402

if TYPE_CHECKING:
    from bayescale.infer.replicates import Job
    from bayescale.model import Model
    from bayescale.runs import Runs

STARTS = 32
BUDGET = 5.76e23  # FLOP, of which tokens per parameter are told
QUANTILES = [0.025, 0.5, 0.975]


def problem(name: str) -> tuple["Model", "Runs"]:
    """A model of that name, and the points."""
    from bayescale import data, models, noise
    from bayescale.model import Model

    law = models.load("chinchilla" if name in ("autodiff", "student_t") else name)
    if name == "autodiff":
        law = law.replace(terms=(), floor=None)
    if name == "broken_power":
        law = law.along("C")
    scatter = noise.student_t if name == "student_t" else noise.huber(DELTA)
    return Model(law, scatter, effects=()), data.load(DATA)


def ours(name: str) -> "Job":
    """What refits the model of that name."""
    import jax

    from bayescale.infer.bootstrap import bootstrap

    return bootstrap(jax.random.key(0), *problem(name), replicates=1).job


def natural(job: "Job", records: np.ndarray) -> np.ndarray:
    """A, B, E, alpha and beta of records of the Chinchilla law, (records, 5)."""
    from bayescale import parallel

    names = ("A", "B", "E", "alpha", "beta")
    with parallel.workbench():
        relative = {name: np.asarray(records[name]) for name in names}
        found = job.model.law.to_natural(relative, job.runs.reference, job.runs.unit)
        return np.stack([np.asarray(found[name]) for name in names], axis=1)


def searched(job: "Job", weight: np.ndarray) -> np.ndarray:
    """The best that 32 starts find, A, B, E, alpha and beta, (replicates, 5), in double precision throughout."""
    import jax
    import jax.numpy as jnp

    from bayescale import parallel
    from bayescale.infer.refit import minima

    objective = job.objective
    with parallel.bench():
        base = jnp.asarray(job.bases[-1])
        others = objective.density.prior_draws(jax.random.key(1), STARTS - 1)[:, objective.places]
        value, position = np.full(len(weight), np.inf), np.tile(job.starts[0], (len(weight), 1))
        for start in (job.starts[0], *np.asarray(others)):
            begin = jnp.tile(start, (len(weight), 1))
            found = minima(objective, begin, base, job.runs, {"weight": jnp.asarray(weight)}, mixed=False)
            lower = np.asarray(found.value) < value
            value = np.where(lower, found.value, value)
            position = np.where(lower[:, None], found.position, position)
        vectors = jnp.tile(base, (len(weight), 1)).at[:, objective.places].set(position)
        sites = jax.vmap(objective.density.constrain)(vectors)
    return natural(job, np.rec.fromarrays([np.asarray(v) for v in sites.values()], names=list(sites)))


# ---- Whole processes


def whole(name: str, replicates: int, folder: Path | None) -> dict[str, Any]:
    """A study and its quantiles, and what they took: seconds, MiB and MB."""
    import jax
    from jax import monitoring

    import bayescale as bs
    from bayescale.infer.bootstrap import bootstrap

    imported = time.perf_counter()
    compiled: list[float] = []

    def listen(event: str, duration_secs: float, **_: Any) -> None:
        if event.endswith("backend_compile_duration"):  # or the reading of what was compiled before
            compiled.append(duration_secs)

    monitoring.register_event_duration_secs_listener(listen)
    study = bootstrap(jax.random.key(0), *problem(name), replicates=replicates, folder=folder)
    fitted = time.perf_counter()

    def tokens_per_parameter(fit):
        N, D = bs.split(fit, BUDGET)
        return D / N

    asked: dict[str, Callable] = {
        p: lambda fit, p=p: fit.parameters()[p] for p in ("A", "B", "E", "alpha", "beta")
    }
    asked["tokens per parameter"] = tokens_per_parameter
    found = {q: [number.value for number in study.quantiles(f, QUANTILES)] for q, f in asked.items()}
    used = resource.getrusage(resource.RUSAGE_SELF)
    files = [file for file in folder.rglob("*") if file.is_file()] if folder else []
    return {
        "import": imported - STARTED,
        "refits": fitted - imported,
        "quantiles": time.perf_counter() - fitted,
        "compile": sum(compiled),
        "cpu": used.ru_utime + used.ru_stime,
        "memory": used.ru_maxrss / (1024**2 if sys.platform == "darwin" else 1024),  # else kilobytes
        "disk": sum(file.stat().st_size for file in files) / 1e6,
        "unfinished": study.counts.unfinished,
        "quantiles_at": found,
    }


def process(name: str, replicates: int, cache: Path, folder: Path | None = None) -> dict[str, Any]:
    """The same in a process of its own, timed from outside, with its compiled code in `cache`."""
    arguments = [name, str(replicates), *([str(folder)] if folder else [])]
    environment = os.environ | {"BAYESCALE_CACHE": str(cache)}
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, __file__, *arguments], env=environment, check=True, stdout=subprocess.PIPE, text=True
    )
    return {"wall": time.perf_counter() - began, **json.loads(done.stdout)}


# ---- Batches on whatever device there is


def speeds(job: "Job", size: int, rounds: int) -> dict[str, list[float]]:
    """Refits per second of wall clock: of one batch, in either precision, and in blocks as a study has them."""
    import jax
    import jax.numpy as jnp

    from bayescale import parallel
    from bayescale.blocks import BLOCK
    from bayescale.infer.refit import minima

    devices = parallel.devices()
    calls = [tuple(range(k, k + devices)) for k in range(0, -(-size // BLOCK), devices)]
    found = {}
    with parallel.bench():

        @jax.jit
        def weights(keys):
            changes = job.resampling.changes
            return jax.vmap(lambda key: changes(key, job.runs, job.plan.about, job.model)["weight"])(keys)

        own = {"weight": weights(jax.random.split(jax.random.key(0), size))}
        begin, base = jnp.tile(jnp.asarray(job.starts[0]), (size, 1)), jnp.asarray(job.bases[-1])

        def batch(mixed: bool):
            jax.block_until_ready(minima(job.objective, begin, base, job.runs, own, mixed=mixed))

        work: dict[str, Callable[[], Any]] = {"mixed": lambda: batch(True), "float64": lambda: batch(False)}
        work["in blocks"] = lambda: [job(numbers) for numbers in calls]
        for how, refit in work.items():
            refit()  # compiles
            found[how] = []
            for _ in range(rounds):
                began = time.perf_counter()
                refit()
                count = len(calls) * devices * BLOCK if how == "in blocks" else size
                found[how].append(count / (time.perf_counter() - began))
    return {how: spread(each) for how, each in found.items()}


if __name__ == "__main__":
    print(json.dumps(whole(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]) if len(sys.argv) > 3 else None)))
