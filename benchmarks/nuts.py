"""What the frame of `nuts` is worth: ours, textbook NumPyro, and PyMC with nutpie, side by side.

The 240 Chinchilla points, the law in N and D, Student-t noise on log loss, runs taken as independent. All
have one likelihood and weak priors: ours those of the reference posterior, the peers plain ones on log A,
log B and log E in natural units. The peers are as a user would write them, with their own defaults. All have their
chains side by side on the cores: ours and nutpie in threads, NumPyro on a pretended device for each chain.

Effective sample sizes are ArviZ's, in bulk, the least over log A, log B, log E, alpha, beta, sigma and nu.

- Whole processes, by turns: from start to exit, with a cold and a warm cache of compiled code; the peers get
  one too. Where a run falls short of the effective sample size, its sampling is extrapolated, and counted.
- Shares of a whole process: importing, and compiling or reading what was compiled before. Ours compiles in two
  threads, and the other traces meanwhile, so compilations are summed, and shares may add to more than 1.
- Then all in this process, compiled before. The time of nutpie is shared between warm-up and sampling by
  their gradients.

    python benchmarks/nuts.py --rounds 3
"""

import argparse
import csv
import importlib
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

STARTED = time.perf_counter()

import numpy as np  # noqa: E402

DATA = "besiroglu2024_chinchilla"
RESULTS = Path(__file__).parent / "results" / "nuts.json"
GOAL = 1000  # the effective sample size that the wall clock is measured to
CHAINS = 4
DEVICES = f"--xla_force_host_platform_device_count={CHAINS}"  # for NumPyro; ours takes the first
DRAWS = {"bayescale": 400, "numpyro": 700, "pymc": 1500}  # of each chain: about what the goal needs
IMPORTS = {
    "bayescale": ("bayescale.data", "bayescale.models", "bayescale.noise", "bayescale.infer.nuts"),
    "numpyro": ("numpyro", "numpyro.infer"),
    "pymc": ("pymc", "nutpie"),
}
TOLD = ("gradients", "divergences", "import", "compile", "memory", "cpu")  # by a process of its run
LABELS = {"bayescale": "bayescale", "numpyro": "NumPyro, textbook", "pymc": "PyMC with nutpie"}
PACKAGES = ("bayescale", "jax", "jaxlib", "numpyro", "pymc", "pytensor", "nutpie", "numba", "arviz", "numpy")


class Sampled(NamedTuple):
    """What one run of a sampler gave."""

    draws: dict[str, np.ndarray]  # (chains, draws)
    gradients: int
    warmup_gradients: int
    seconds: float  # of sampling; nan where the sampler does not tell
    divergences: int


Sampler = Callable[[int], Sampled]


def read(table: Path) -> tuple[np.ndarray, ...]:
    """N, D and loss of the points, as a user without bayescale would read them."""
    with table.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["in_fit_subset"] == "1"]
    N, D, loss = (np.array([float(row[c]) for row in rows]) for c in ("params", "tokens", "loss"))
    return N, D, loss


def ours(table: Path, *, whole: bool) -> Sampler:
    """`bayescale.infer.nuts`, with the priors of the reference posterior."""
    import jax
    import numpyro.distributions as dist

    from bayescale import data, models, noise
    from bayescale.infer.nuts import nuts
    from bayescale.model import Model

    runs = data.load(DATA)
    term, exponent = dist.LogNormal(np.log(0.4 / runs.unit), 1.0), dist.LogNormal(np.log(0.3), 0.5)
    law = models.load("chinchilla").replace(
        priors={"A": term, "B": term, "alpha": exponent, "beta": exponent}
    )
    scatter = noise.student_t.replace(priors={"sigma": dist.LogNormal(np.log(0.02), 1.0)})
    model = Model(law, scatter, effects=())

    def sample(seed: int) -> Sampled:
        fit = nuts(jax.random.key(seed), model, runs, chains=CHAINS, draws=DRAWS["bayescale"])
        natural = {name: np.reshape(values, (CHAINS, -1)) for name, values in fit.parameters().items()}
        draws = {f"log_{name}": np.log(natural[name]) for name in "ABE"}
        draws |= {name: np.asarray(fit.draws[name]) for name in ("alpha", "beta", "sigma", "nu")}
        stats = fit.stats
        divergences = int(np.sum(stats["diverging"]))
        counts = int(stats["gradients"]), int(stats["warmup_gradients"])
        return Sampled(draws, *counts, float(stats["seconds_sampling"]), divergences)

    return sample


def textbook(table: Path, *, whole: bool) -> Sampler:
    """NumPyro in natural parameters, everything else at its default: diagonal mass, target 0.8, depth 10."""
    import jax
    import jax.numpy as jnp
    import numpyro
    import numpyro.distributions as dist
    from numpyro.infer import MCMC, NUTS

    numpyro.enable_x64()
    N, D, loss = read(table)

    def model(N, D, log_loss):
        log_A = numpyro.sample("log_A", dist.Normal(6.0, 3.0))
        log_B = numpyro.sample("log_B", dist.Normal(6.0, 3.0))
        log_E = numpyro.sample("log_E", dist.Normal(0.5, 0.5))
        alpha: Any = numpyro.sample("alpha", dist.LogNormal(np.log(0.3), 0.5))
        beta: Any = numpyro.sample("beta", dist.LogNormal(np.log(0.3), 0.5))
        sigma = numpyro.sample("sigma", dist.LogNormal(np.log(0.02), 1.0))
        nu = numpyro.sample("nu", dist.Gamma(2.0, 0.1))
        mean = jnp.exp(log_E) + jnp.exp(log_A) * N**-alpha + jnp.exp(log_B) * D**-beta
        numpyro.sample("log_loss", dist.StudentT(nu, jnp.log(mean), sigma), obs=log_loss)

    settings: dict[str, Any] = {"num_chains": CHAINS, "chain_method": "parallel", "progress_bar": False}
    mcmc = MCMC(NUTS(model), num_warmup=1000, num_samples=DRAWS["numpyro"], **settings)
    points = N, D, np.log(loss)
    warmup_gradients = 0
    if not whole:  # once: what is timed is sampling, and every whole process has a warm-up of its own
        mcmc.warmup(jax.random.key(0), *points, collect_warmup=True, extra_fields=("num_steps",))
        warmup_gradients = int(np.sum(mcmc.get_extra_fields()["num_steps"]))
        mcmc.run(jax.random.key(0), *points, extra_fields=("num_steps", "diverging"))  # compiles

    def sample(seed: int) -> Sampled:
        began = time.perf_counter()
        mcmc.run(jax.random.key(seed), *points, extra_fields=("num_steps", "diverging"))
        draws = jax.device_get(mcmc.get_samples(group_by_chain=True))
        seconds = float("nan") if whole else time.perf_counter() - began
        extra = jax.device_get(mcmc.get_extra_fields())
        counts = int(np.sum(extra["num_steps"])), warmup_gradients
        return Sampled(draws, *counts, seconds, int(np.sum(extra["diverging"])))

    return sample


def pymc(table: Path, *, whole: bool) -> Sampler:
    """PyMC in natural parameters, sampled by nutpie at its defaults, compiled by numba."""
    import nutpie
    import pymc as pm

    N, D, loss = read(table)
    with pm.Model() as model:
        log_A = pm.Normal("log_A", 6.0, 3.0)
        log_B = pm.Normal("log_B", 6.0, 3.0)
        log_E = pm.Normal("log_E", 0.5, 0.5)
        alpha = pm.LogNormal("alpha", np.log(0.3), 0.5)
        beta = pm.LogNormal("beta", np.log(0.3), 0.5)
        sigma = pm.LogNormal("sigma", np.log(0.02), 1.0)
        nu = pm.Gamma("nu", 2.0, 0.1)
        mean = pm.math.exp(log_E) + pm.math.exp(log_A) * N**-alpha + pm.math.exp(log_B) * D**-beta
        pm.StudentT("log_loss", nu=nu, mu=pm.math.log(mean), sigma=sigma, observed=np.log(loss))
    compiled = nutpie.compile_pymc_model(model, backend="numba")
    names = ("log_A", "log_B", "log_E", "alpha", "beta", "sigma", "nu")

    def sample(seed: int) -> Sampled:
        began = time.perf_counter()
        trace: Any = nutpie.sample(
            compiled, chains=CHAINS, draws=DRAWS["pymc"], seed=seed, progress_bar=False
        )
        seconds = time.perf_counter() - began
        gradients = int(trace.sample_stats.n_steps.sum())
        warmup = int(trace.warmup_sample_stats.n_steps.sum())
        draws = {name: trace.posterior[name].values for name in names}
        seconds *= gradients / (gradients + warmup)
        return Sampled(draws, gradients, warmup, seconds, int(trace.sample_stats.diverging.sum()))

    return sample


SAMPLERS = {"bayescale": ours, "numpyro": textbook, "pymc": pymc}


def child(name: str, table: Path, seed: int, out: Path) -> None:
    """One fit in a process of its own; leaves its draws and what it cost."""
    for module in IMPORTS[name]:
        importlib.import_module(module)
    imported = time.perf_counter() - STARTED
    compiled: list[float] = []
    if name != "pymc":
        from jax import monitoring

        def listen(event: str, duration_secs: float, **_: Any) -> None:
            if event.endswith("backend_compile_duration"):  # or the reading of what was compiled before
                compiled.append(duration_secs)

        monitoring.register_event_duration_secs_listener(listen)
    sample = SAMPLERS[name](table, whole=True)
    if name == "pymc":
        compiled.append(time.perf_counter() - STARTED - imported)
    found = sample(seed)
    used = resource.getrusage(resource.RUSAGE_SELF)
    memory = used.ru_maxrss / (1024**2 if sys.platform == "darwin" else 1024)  # else kilobytes
    cpu = used.ru_utime + used.ru_stime
    told = [found.gradients, found.divergences, imported, sum(compiled), memory, cpu]
    saved: dict[str, Any] = {"told": np.array(told, float), **found.draws}
    np.savez(out, **saved)


def process(name: str, table: Path, seed: int, folder: Path) -> dict[str, Any]:
    """The same, started and timed from outside, with its caches in a folder."""
    out = folder / "draws.npz"
    caches = {"BAYESCALE_CACHE": "", "NUMBA_CACHE_DIR": "numba"}
    if name != "bayescale":  # ours keeps compiled code by itself; the peer is told to
        caches["JAX_COMPILATION_CACHE_DIR"] = "jax"
    environment = os.environ | {key: str(folder / value) for key, value in caches.items()}
    environment |= {
        "PYTENSOR_FLAGS": f"base_compiledir={folder / 'pytensor'}",
        "BAYESCALE_DATA": str(table.parent),
    }
    environment["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.1"
    arguments = ["--child", name, "--seed", str(seed), "--table", str(table), "--out", str(out)]
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, __file__, *arguments], env=environment, check=True, stdout=subprocess.DEVNULL
    )
    wall = time.perf_counter() - began
    with np.load(out) as saved:
        draws = {key: saved[key] for key in saved.files}
    told = dict(zip(TOLD, draws.pop("told"), strict=True))
    return told | {"wall": wall, "draws": draws}


def least_ess(draws: dict[str, np.ndarray]) -> tuple[float, float]:
    """The least bulk effective sample size and the greatest R-hat of all parameters, by ArviZ."""
    import arviz

    tree = arviz.from_dict({"posterior": draws})
    ess, r_hat = arviz.ess(tree, method="bulk"), arviz.rhat(tree)
    return min(float(ess[name]) for name in draws), max(float(r_hat[name]) for name in draws)


def spread(values: list[float]) -> list[float]:
    """Median, least and greatest, to four digits."""
    return [float(f"{value:.4g}") for value in (median(values), min(values), max(values))]


def digest(apart: dict[str, list[dict[str, Any]]], together: list[Sampled]) -> dict[str, Any]:
    """All measures of one contender; apart are its whole processes, by the state of their caches."""
    inside = [least_ess(run.draws)[0] for run in together]
    rate = median(run.seconds / run.gradients for run in together)
    per_gradient = [1000 * ess / run.gradients for ess, run in zip(inside, together, strict=True)]
    result: dict[str, Any] = {}
    worst, divergences, pooled = 0.0, sum(run.divergences for run in together), []
    for cache, runs in apart.items():
        walls, extrapolated, shares = [], 0, []
        for run in runs:
            ess, r_hat = least_ess(run["draws"])
            worst, divergences = max(worst, r_hat), divergences + int(run["divergences"])
            per_gradient.append(1000 * ess / run["gradients"])
            extrapolated += ess < GOAL
            walls.append(run["wall"] + max(GOAL / ess - 1, 0) * run["gradients"] * rate)
            shares.append([run[part] / run["wall"] for part in ("import", "compile")])
            pooled.append(run["draws"])
        imported, compiled = (round(median(share), 2) for share in zip(*shares, strict=True))
        result[f"wall_{cache}"] = spread(walls)
        result[f"cpu_{cache}"] = spread([run["cpu"] for run in runs])
        result[f"wall_{cache}_extrapolated"] = f"{extrapolated} of {len(runs)}"
        rest = round(1 - imported - compiled, 2)
        result[f"shares_{cache}"] = {"import": imported, "compile": compiled, "rest": rest}
    every = [run for runs in apart.values() for run in runs]
    joined = {p: np.concatenate([draws[p].ravel() for draws in pooled]) for p in ("alpha", "beta", "log_E")}
    return result | {
        "ess_per_1000_gradients": spread(per_gradient),
        "ess_per_second": spread([ess / run.seconds for ess, run in zip(inside, together, strict=True)]),
        "gradients_per_draw": spread([run.gradients / run.draws["alpha"].size for run in together]),
        "warmup_gradients": spread([run.warmup_gradients for run in together]),
        "import_seconds": spread([run["import"] for run in every]),
        "memory_mib": spread([run["memory"] for run in every]),
        "r_hat_greatest": round(worst, 4),
        "divergences": divergences,
        "posterior": {p: [round(float(v.mean()), 4), round(float(v.std()), 4)] for p, v in joined.items()},
    }


def ratios(own: dict[str, Any], peer: dict[str, Any]) -> dict[str, float]:
    """How many times better ours is, by medians."""
    better = {
        "ess_per_gradient": own["ess_per_1000_gradients"][0] / peer["ess_per_1000_gradients"][0],
        "ess_per_second": own["ess_per_second"][0] / peer["ess_per_second"][0],
        "wall_cold": peer["wall_cold"][0] / own["wall_cold"][0],
        "cpu_cold": peer["cpu_cold"][0] / own["cpu_cold"][0],
        "cpu_warm": peer["cpu_warm"][0] / own["cpu_warm"][0],
        "memory": peer["memory_mib"][0] / own["memory_mib"][0],
    }
    # One run, as of NumPyro with a warm cache, met another load than three did: no ratio of wall clocks.
    if peer["wall_warm_extrapolated"].endswith(own["wall_warm_extrapolated"].split()[-1]):
        better["wall_warm"] = peer["wall_warm"][0] / own["wall_warm"][0]
    return {name: float(f"{value:.3g}") for name, value in better.items()}


def show(results: dict[str, Any]) -> None:
    """The table of all measures, and the ratios under it."""
    from rich.console import Console
    from rich.table import Table

    found = results["contenders"]
    rows = {
        "ess_per_1000_gradients": "min ESS per 1000 gradients",
        "ess_per_second": "min ESS per second of sampling",
        "gradients_per_draw": "gradients per draw",
        "wall_cold": f"process to min ESS {GOAL}, cold (s)",
        "wall_warm": f"process to min ESS {GOAL}, warm (s)",
        "cpu_cold": "CPU time of a cold process (s)",
        "cpu_warm": "CPU time of a warm process (s)",
        "import_seconds": "import (s)",
        "memory_mib": "peak memory (MiB)",
    }
    table = Table("median (least-greatest)", *(LABELS[name] for name in found))
    for key, label in rows.items():
        cells = [contender[key] for contender in found.values()]
        table.add_row(label, *(f"{middle:g} ({least:g}-{most:g})" for middle, least, most in cells))
    for cache in ("cold", "warm"):
        shares = (contender[f"shares_{cache}"] for contender in found.values())
        cells = (", ".join(f"{part} {share:.0%}" for part, share in s.items()) for s in shares)
        table.add_row(f"of a {cache} process", *cells)
        counts = (contender[f"wall_{cache}_extrapolated"] for contender in found.values())
        table.add_row(f"{cache} processes extrapolated", *counts)
    for key, label in {"divergences": "divergences", "r_hat_greatest": "greatest R-hat"}.items():
        table.add_row(label, *(str(contender[key]) for contender in found.values()))
    for name in ("alpha", "beta", "log_E"):
        values = (contender["posterior"][name] for contender in found.values())
        table.add_row(f"{name}, mean (sd)", *(f"{mean:.4f} ({sd:.4f})" for mean, sd in values))
    console = Console(width=150)
    console.print(table)
    for name, better in results["ratios"].items():
        console.print(f"ours against {LABELS[name]}: " + ", ".join(f"{k} {v:g}x" for k, v in better.items()))


def main() -> None:
    """Measures, prints and writes."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    for hidden, kind in {"child": str, "table": Path, "seed": int, "out": Path}.items():
        parser.add_argument(f"--{hidden}", type=kind, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        return child(options.child, options.table, options.seed, options.out)

    os.environ["XLA_FLAGS"] = DEVICES  # before JAX is imported, here and in the processes begun here
    from bayescale import data

    try:
        table = data.path(DATA)
    except FileNotFoundError as error:
        sys.exit(f"benchmarks/nuts.py: {error}; or say where it lies with BAYESCALE_DATA")
    if find_spec("arviz") is None:
        sys.exit("benchmarks/nuts.py: effective sample sizes are ArviZ's; pip install 'bayescale[arviz]'")
    contenders = list(SAMPLERS)
    if missing := [module for module in IMPORTS["pymc"] if find_spec(module) is None]:
        contenders.remove("pymc")
        print(f"PyMC with nutpie is left out: no {' or '.join(missing)} (pip install pymc nutpie numba)")

    # Whole processes first: on Linux a child's peak memory counts what this process has when it starts it.
    apart = {name: {"cold": [], "warm": []} for name in contenders}
    with tempfile.TemporaryDirectory() as temporary:
        for turn in range(options.rounds):
            for name in contenders:
                folder = Path(temporary) / f"{name}_{turn}"
                folder.mkdir()
                for cache, seed in (("cold", 2 * turn), ("warm", 2 * turn + 1)):
                    apart[name][cache].append(process(name, table, seed, folder))
                    wall = apart[name][cache][-1]["wall"]
                    print(f"{LABELS[name]}, {cache}, round {turn + 1}: {wall:.1f} s", flush=True)

        os.environ["BAYESCALE_CACHE"] = str(Path(temporary) / "bayescale_0")
        samplers = {name: SAMPLERS[name](table, whole=False) for name in contenders}
        samplers["bayescale"](0)  # compiles
        together: dict[str, list[Sampled]] = {name: [] for name in contenders}
        for turn in range(options.rounds):
            for name in contenders:
                together[name].append(samplers[name](100 + turn))
                seconds = together[name][-1].seconds
                print(f"{LABELS[name]}, this process, round {turn + 1}: {seconds:.2f} s", flush=True)

    found = {name: digest(apart[name], together[name]) for name in contenders}
    absent = ("pymc", "pytensor", "nutpie", "numba") if "pymc" not in contenders else ()
    results = {
        "question": (__doc__ or "").split("\n")[0],
        "command": f"python benchmarks/nuts.py --rounds {options.rounds}",
        "rounds": options.rounds,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in PACKAGES if name not in absent},
        "chains": CHAINS,
        "draws_of_each_chain": {name: DRAWS[name] for name in contenders},
        "goal_ess": GOAL,
        "values": "median, least, greatest",
        "contenders": found,
        "ratios": {name: ratios(found["bayescale"], found[name]) for name in contenders[1:]},
    }
    show(results)
    RESULTS.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
