"""Our side of `benchmarks/evidence.py`: one evidence and what its parts take, and a whole comparison as a process.

As a script it is one whole process: the comparison of eight laws. What that took is told on standard output, as JSON.

    python benchmarks/evidence_ours.py
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
from unittest import mock

STARTED = time.perf_counter()

import numpy as np  # noqa: E402

if TYPE_CHECKING:
    from bayescale.model import Model
    from bayescale.runs import Runs

PARTS = ("bridge", "every_mode", "importance", "tempered")  # of `bayescale.infer.evidence`


def measure(
    seed: int, model: "Model", runs: "Runs", *, third: bool, draws: int = 1000
) -> dict[str, dict[str, Any]]:
    """Every estimate with its error, the densities it took, and processor seconds; NUTS is told apart.

    The mode, which NUTS begins at, is the work of all of them, and told with NUTS.
    """
    import jax

    from bayescale.infer import evidence as module
    from bayescale.infer.nuts import nuts

    seconds: dict[str, float] = dict.fromkeys(PARTS, 0.0)
    evaluations: dict[str, int] = dict.fromkeys(PARTS, 0)

    def timed(part: str, function: Callable) -> Callable:
        def called(*arguments):
            if part in ("bridge", "importance"):
                rng, log_density, given = arguments

                def counted(points):
                    evaluations[part] += len(points)
                    return log_density(points)

                arguments = rng, counted, given
            began = time.process_time()
            found = function(*arguments)
            seconds[part] += time.process_time() - began
            return found

        return called

    began = time.process_time()
    fit = nuts(jax.random.key(seed), model, runs, draws=draws)
    sampled = time.process_time() - began
    wrapped: dict[str, Any] = {part: timed(part, getattr(module, part)) for part in PARTS}
    with mock.patch.multiple(module, **wrapped):
        found = module.log_evidence(jax.random.key(1000 + seed), fit, third=third)
    seconds["importance"] += seconds["every_mode"]
    told: dict[str, dict[str, Any]] = {
        "nuts": {
            "seconds": sampled,
            "evaluations": int(fit.stats["gradients"] + fit.stats["warmup_gradients"]),
        }
    }
    for name in ("bridge", "importance", "tempered"):
        one = getattr(found, name)
        if one is not None:
            told[name] = {"value": one.value, "error": one.error, "seconds": seconds[name]}
            if name != "tempered":
                told[name]["evaluations"] = evaluations[name]
    return told | {"trouble": {"said": list(found.trouble)}}


def compiled_third(model: "Model", runs: "Runs") -> None:
    """Compile sequential Monte Carlo: its first temperature."""
    import jax

    from bayescale import parallel
    from bayescale.infer import tempered as module
    from bayescale.infer.density import Density

    with parallel.workbench(), mock.patch.object(module, "STEPS", 1):
        try:
            module.tempered(jax.random.key(0), Density.of(model, runs), runs)
        except ValueError as error:
            if "temperatures" not in str(error):
                raise


# ---- The comparison of eight laws as a whole process


def whole() -> dict[str, Any]:
    """The comparison of the seven laws and the constant, and what it took: seconds and MiB."""
    import jax
    from jax import monitoring
    from laws import LAWS, model
    from nuts import DATA

    from bayescale import data
    from bayescale.check.compare import compare

    imported = time.perf_counter()
    compiled: list[float] = []
    ends: list[tuple[str, float]] = []

    def listen(event: str, duration_secs: float, **_: Any) -> None:
        if event.endswith("backend_compile_duration"):  # or the reading of what was compiled before
            compiled.append(duration_secs)

    monitoring.register_event_duration_secs_listener(listen)
    found = compare(
        jax.random.key(0),
        data.load(DATA),
        [model(name) for name in LAWS],
        support={},
        predictive=False,
        report=lambda said: ends.append((said, time.process_time())),
    )
    used = resource.getrusage(resource.RUSAGE_SELF)
    # How much processor time the first so many laws took, in the order of the comparison.
    until = [moment for _, moment in ends[1:]] + [time.process_time()]
    return {
        "import": imported - STARTED,
        "compile": sum(compiled),
        "cpu": used.ru_utime + used.ru_stime,
        "memory": used.ru_maxrss / (1024**2 if sys.platform == "darwin" else 1024),  # else kilobytes
        "cpu_after_laws": [round(moment, 1) for moment in until],
        "laws": [said for said, _ in ends],
        "verdict": found.verdict,
        "values": {
            one.name: [round(one.evidence.value, 3), round(one.evidence.error, 4)] for one in found.candidates
        },
    }


def process(cache: Path) -> dict[str, Any]:
    """The same in a process of its own, timed from outside, with its compiled code in `cache`."""
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, __file__],
        env=os.environ | {"BAYESCALE_CACHE": str(cache)},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return {"wall": time.perf_counter() - began, **json.loads(done.stdout)}


# ---- How the work grows


def by_draws(model: "Model", runs: "Runs", draws: tuple[int, ...]) -> list[dict[str, Any]]:
    """Bridge sampling with so many draws of each of 4 chains, compiled before."""
    found = []
    measure(0, model, runs, third=False, draws=draws[0])  # compiles
    for count in draws:
        told = measure(0, model, runs, third=False, draws=count)
        one = {"nuts": told["nuts"]["seconds"], **{n: told["bridge"][n] for n in ("seconds", "error")}}
        found.append({"draws": count} | {name: float(f"{value:.3g}") for name, value in one.items()})
    return found


def by_runs(model: "Model", counts: tuple[int, ...]) -> list[dict[str, Any]]:
    """Draws and evidence of tables of so many runs, simulated from the same law, compiled before."""
    from bayescale.runs import Runs

    found = []
    for count in counts:
        rng = np.random.default_rng(count)
        N, D = (at * 10 ** rng.uniform(-1.25, 1.25, count) for at in (1e9, 2e10))
        mean = 1.8 + 0.5 * (N / 1e9) ** -0.35 + 0.5 * (D / 2e10) ** -0.35
        runs = Runs.make({"N": N, "D": D, "loss": mean * np.exp(0.01 * rng.standard_t(4, count))})
        measure(0, model, runs, third=False)  # compiles
        told = measure(1, model, runs, third=False)
        one = {name: told[name]["seconds"] for name in ("nuts", "bridge", "importance")}
        found.append({"runs": count} | {name: float(f"{value:.3g}") for name, value in one.items()})
    return found


def by_particles(model: "Model", runs: "Runs", truth: float, counts: tuple[int, ...]) -> list[dict[str, Any]]:
    """Sequential Monte Carlo with so many particles in each of its runs, compiled before."""
    import jax

    from bayescale import parallel
    from bayescale.infer import tempered as module
    from bayescale.infer.density import Density

    found = []
    for count in counts:
        with mock.patch.object(module, "PARTICLES", count), parallel.workbench():
            density = Density.of(model, runs)
            module.tempered(jax.random.key(0), density, runs)  # compiles
            began = time.process_time()
            one = module.tempered(jax.random.key(1), density, runs)
            seconds = time.process_time() - began
        values = {"off": one.value - truth, "error": one.error, "seconds": seconds}
        found.append({"particles": count} | {name: float(f"{value:.3g}") for name, value in values.items()})
    return found


if __name__ == "__main__":
    print(json.dumps(whole()))
