"""Item response at scale: NUTS beside PyMC with nutpie, a million responses, and how the cost grows.

- 50 models at 500 tasks, with 8 attempts each: 25,000 rows, and about 1,060 numbers. Thresholds and slopes by task, a
  shock by model, binomial counts. Ours and the peer have one model and one set of priors, in logits for each decade
  and decades; the peer is as a user would write it, non-centred, and again centred, which suits so much data better;
  with 500 draws after 500 of warm-up. They are measured by turns,
  each in a process of its own, compilation included and apart. The measure is the least effective sample size, in
  bulk, of what levels share, for each second of sampling.
- 1,000 models at 1,000 tasks, one attempt each: a million responses by the variational approximation, and what it is
  worth against NUTS on a part of them.
- The same with more and fewer models, tasks and responses: seconds, and the most memory; what levels share beside what
  was drawn, and how far levels are from it in their widths, the root mean square, which is 1 where these are right.

    python benchmarks/tasks.py --rounds 1 --peer PYTHON
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import record

if TYPE_CHECKING:
    from bayescale.runs import Runs

MODELS, TASKS, ATTEMPTS = 50, 500, 8
SHARED = ("threshold", "slope", "spread", "steeper", "ability")
GROWTH = (
    (1000, 1000, 1),
    (250, 1000, 1),
    (1000, 250, 1),
    (1000, 1000, 4),
    (1000, 4000, 1),
    (2000, 2000, 1),
    (10_000, 1000, 10),
)
LN10 = np.log(10)
AGREED = 1.1  # R-hat, above which there is no effective sample size to compare
SURE = 1e-12  # a probability that makes no difference to any count of the table


def drawn(rng: np.random.Generator, models: int, tasks: int) -> dict[str, np.ndarray]:
    """Compute, ability, thresholds and slopes, in decades and logits for each."""
    x, ability = rng.uniform(-2, 2, models), 0.2 * rng.normal(size=models)
    threshold, slope = rng.normal(size=tasks), 3 * np.exp(0.3 * rng.normal(size=tasks))
    return {"x": x, "ability": ability, "threshold": threshold, "slope": slope}


def simulate(models: int, tasks: int, attempts: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Compute, indices and counts of a table of models and tasks."""
    rng = np.random.default_rng(seed)
    true = drawn(rng, models, tasks)
    p = 1 / (1 + np.exp(-true["slope"] * ((true["x"] + true["ability"])[:, None] - true["threshold"])))
    won = rng.binomial(attempts, p)
    model, task = (index.ravel() for index in np.indices(won.shape))
    return {"x": true["x"][model], "model": model, "task": task, "won": won.ravel().astype(float)}


def runs_of(table: dict[str, np.ndarray], attempts: int) -> "Runs":
    """The table as runs; levels are numbered, since a million names would take longer than the fit."""
    from bayescale.runs import Runs

    factors = {by: table[by].astype(np.int32) for by in ("model", "task")}
    return Runs(
        columns={"C": 10 ** (21 + table["x"]), "trials": np.full(len(table["x"]), float(attempts))},
        response=table["won"],
        factors=dict(factors),
        weight=np.ones(len(table["x"])),
        reference={"C": np.float64(1e21), "trials": np.float64(attempts)},
        unit=np.float64(1.0),
        levels={by: tuple(f"{by}{i}" for i in range(int(index.max()) + 1)) for by, index in factors.items()},
        kind="success",
        source="simulated",
    )


def model_of() -> Any:
    """Two-parameter logistic curves with a shock by model: no chance, no lapses."""
    import jax.numpy as jnp
    import numpyro.distributions as dist
    from jax.scipy.special import expit

    from bayescale import noise
    from bayescale.law import Law
    from bayescale.model import Model
    from bayescale.pooling import Pooling

    def mean(C, *, threshold, slope):
        p = expit(slope / LN10 * (jnp.log(C) - jnp.log(threshold)))
        return jnp.clip(p, SURE, 1 - SURE)  # the peer has logits, which are never sure

    law = Law(
        "two_parameter_logistic",
        mean,
        {"threshold": dist.LogNormal(0.0, 2 * LN10), "slope": dist.LogNormal(np.log(1.5), 0.6)},
        "Birnbaum 1968",
        response="success",
        natural=lambda C, success, *, threshold, slope: {"threshold": C * threshold, "slope": slope},
    )
    pooling = (
        Pooling(("threshold",), "task", dist.HalfNormal(1.5 * LN10)),
        Pooling(("slope",), "task", dist.HalfNormal(0.5)),
        Pooling(("threshold",), "model", dist.HalfNormal(0.3 * LN10)),
    )
    return Model(law, noise.binomial, pooling, effects=())


def shared(draws: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What levels share, in the units of the peer."""
    return {
        "threshold": np.log10(draws["threshold"]),
        "slope": np.log(draws["slope"]),
        "spread": draws["threshold_by_task_scale"] / LN10,
        "steeper": draws["slope_by_task_scale"],
        "ability": draws["threshold_by_model_scale"] / LN10,
    }


def ours(seed: int) -> dict[str, Any]:
    """NUTS of 50 models at 500 tasks."""
    began = time.perf_counter()
    import jax

    from bayescale.infer.nuts import nuts

    runs = runs_of(simulate(MODELS, TASKS, ATTEMPTS), ATTEMPTS)
    fit = nuts(jax.random.key(seed), model_of(), runs, draws=300, warmup=200, target=0.9, retry=False)
    seconds = fit.stats["seconds_sampling"]
    told = {
        "seconds": seconds,
        "before": time.perf_counter() - began - seconds,
        "divergences": int(fit.stats["diverging"].sum()),
    }
    told |= {"gradients": int(fit.stats["gradients"]), "r_hat": worst_of(shared(fit.draws))}
    return told | {"draws": shared(fit.draws)}


def peer(seed: int, *, centred: bool = False) -> dict[str, Any]:
    """The same by PyMC and nutpie."""
    began = time.perf_counter()
    import nutpie
    import pymc as pm

    table = simulate(MODELS, TASKS, ATTEMPTS)
    with pm.Model() as model:
        threshold = pm.Normal("threshold", 0.0, 2.0)
        slope = pm.Normal("slope", np.log(1.5), 0.6)
        spread, steeper, ability = (
            pm.HalfNormal(name, width)
            for name, width in (("spread", 1.5), ("steeper", 0.5), ("ability", 0.3))
        )
        if centred:
            b = pm.Normal("b", threshold, spread, shape=TASKS)
            a = pm.math.exp(pm.Normal("log_a", slope, steeper, shape=TASKS))
            shock = pm.Normal("shock", 0.0, ability, shape=MODELS)
        else:
            b = threshold + spread * pm.Normal("b_raw", 0.0, 1.0, shape=TASKS)
            a = pm.math.exp(slope + steeper * pm.Normal("a_raw", 0.0, 1.0, shape=TASKS))
            shock = ability * pm.Normal("shock_raw", 0.0, 1.0, shape=MODELS)
        logit = a[table["task"]] * (table["x"] - b[table["task"]] - shock[table["model"]])
        pm.Binomial("won", n=ATTEMPTS, logit_p=logit, observed=table["won"].astype(int))
    compiled = nutpie.compile_pymc_model(model, backend="numba")
    ready = time.perf_counter()
    trace: Any = nutpie.sample(compiled, chains=4, draws=500, tune=500, seed=seed, progress_bar=False)
    seconds = time.perf_counter() - ready
    gradients = int(trace.sample_stats.n_steps.sum())
    warmup = int(trace.warmup_sample_stats.n_steps.sum())
    draws = {name: trace.posterior[name].values for name in SHARED}
    kept = seconds * gradients / (gradients + warmup)
    told = {"seconds": kept, "before": ready - began + seconds - kept, "gradients": gradients}
    told |= {"divergences": int(trace.sample_stats.diverging.sum()), "r_hat": None}
    told["versions"] = {"pymc": pm.__version__, "nutpie": nutpie.__version__}
    return told | {"draws": draws}


PEERS = {"pymc": peer, "pymc, centred": partial(peer, centred=True)}


def worst_of(draws: dict[str, np.ndarray]) -> float:
    """The greatest R-hat."""
    from bayescale import diagnostics

    return round(max(float(diagnostics.r_hat(values)) for values in draws.values()), 4)


def approximated(models: int, tasks: int, attempts: int, *, check: bool) -> dict[str, Any]:
    """A table by the variational approximation, in this process."""
    import jax

    from bayescale.infer.variational import variational

    table = simulate(models, tasks, attempts)
    runs = runs_of(table, attempts)
    began = time.perf_counter()
    fit = variational(jax.random.key(0), model_of(), runs, check=check)
    found = {
        "responses": models * tasks * attempts,
        "rows": len(runs),
        "seconds": time.perf_counter() - began,
    }
    found["memory_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    found |= {name: [float(v.mean()), float(v.std())] for name, v in shared(fit.draws).items()}
    true = drawn(np.random.default_rng(0), models, tasks)
    found["drawn"] = {
        "threshold": float(true["threshold"].mean()),
        "slope": float(np.log(true["slope"]).mean()),
        "spread": float(true["threshold"].std()),
        "steeper": float(np.log(true["slope"]).std()),
        "ability": float(true["ability"].std()),
    }
    thresholds = (np.log(fit.flat("threshold"))[:, None] + fit.flat("threshold_by_task")) / LN10
    of_levels = {
        "threshold": (thresholds, true["threshold"]),
        "ability": (fit.flat("threshold_by_model") / LN10, -true["ability"]),
    }
    found["levels"] = {
        name: float(np.sqrt(np.mean(((v.mean(axis=0) - truth) / v.std(axis=0)) ** 2)))
        for name, (v, truth) in of_levels.items()
    }
    found |= {
        k: fit.stats[k]
        for k in ("error", "narrow", "errors", "widths", "checked", "moved", "steps", "mode_converged")
        if k in fit.stats
    }
    return found


def child(what: str, arguments: list[int], python: str = sys.executable) -> dict[str, Any]:
    """One measurement in a process of its own, from which memory and compilation are its own."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.json"
        command = [python, __file__, "--child", what, "--out", str(out), *map(str, arguments)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return json.loads(out.read_text(encoding="utf-8"))


def race(rounds: int, python: str | None, before: dict[str, list]) -> dict[str, Any]:
    """Ours and the peers by turns; what is measured already is taken."""
    from bayescale import diagnostics

    names = ["bayescale", *(PEERS if python else ())]
    found: dict[str, list[dict[str, Any]]] = {name: before.get(name, []) for name in names}
    size = {"models": MODELS, "tasks": TASKS, "attempts": ATTEMPTS, "rows": MODELS * TASKS}
    for seed in range(rounds):
        for name, runs in found.items():
            if len(runs) > seed:
                continue
            told = child(name, [seed], python if name in PEERS and python else sys.executable)
            draws = {k: np.array(v) for k, v in told.pop("draws").items()}
            told["ess"] = min(float(diagnostics.ess_bulk(values)) for values in draws.values())
            told["r_hat"] = worst_of(draws)
            told["means"] = {k: [float(v.mean()), float(v.std())] for k, v in draws.items()}
            told["ess_per_second"], told["ess_per_gradient"] = (
                told["ess"] / told["seconds"],
                told["ess"] / told["gradients"],
            )
            told["whole"] = told["seconds"] + told["before"]
            runs.append(told)
            print(f"{name}, round {seed + 1}: {told}", flush=True)

    def middle(name: str, key: str) -> float:
        return float(np.median([run[key] for run in found[name]]))

    if python and all(run["r_hat"] < AGREED for runs in found.values() for run in runs):
        better = {
            name: {
                key: float(middle("bayescale", key) / middle(name, key))
                for key in ("ess_per_second", "ess_per_gradient")
            }
            for name in PEERS
        }
        return size | {"contenders": found, "ratios": better}
    return size | {"contenders": found}


def main() -> None:
    """Do all, print what came out and write it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--peer", help="the Python that has pymc and nutpie; without it the peer is left out")
    parser.add_argument("--only", choices=("race", "growth"), help="one of both parts")
    for hidden, kind in {"child": str, "out": Path}.items():
        parser.add_argument(f"--{hidden}", type=kind, help=argparse.SUPPRESS)
    parser.add_argument("arguments", nargs="*", type=int, help=argparse.SUPPRESS)
    told = parser.parse_args()
    if told.child:
        if told.child in ("bayescale", *PEERS):
            found = {"bayescale": ours, **PEERS}[told.child](*told.arguments)
            found["draws"] = {k: np.asarray(v).tolist() for k, v in found["draws"].items()}
        else:
            found = approximated(*told.arguments, check=told.child == "checked")
        told.out.write_text(json.dumps(found), encoding="utf-8")
        return
    results = record.read("tasks") | record.header(
        f"python benchmarks/tasks.py --rounds {told.rounds} --peer PYTHON"
    )
    if told.only != "growth":
        before = results.get("race", {}).get("contenders", {})
        results["race"] = race(told.rounds, told.peer, before)
        record.write("tasks", results)
    if told.only != "race":
        done = results.setdefault("growth", [])  # it takes up where it was stopped
        for models, tasks, attempts in GROWTH:
            if (models, tasks, attempts) in [(one["models"], one["tasks"], one["attempts"]) for one in done]:
                continue
            found = child(
                "checked" if (models, tasks, attempts) == (1000, 1000, 1) else "plain",
                [models, tasks, attempts],
            )
            done.append({"models": models, "tasks": tasks, "attempts": attempts, **found})
            print(done[-1], flush=True)
            record.write("tasks", results)
    print(f"written to {record.write('tasks', results)}")


if __name__ == "__main__":
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    main()
