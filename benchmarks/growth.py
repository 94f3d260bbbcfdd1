"""How the price of a posterior grows with parameters, groups and chains, beside NumPyro; of a bootstrap, with devices.

Simulated runs: of laws of 2 to 7 parameters, 240 of each; of `chinchilla` with E, A and B that differ by corpus, ten
runs of each corpus; of `chinchilla` for chains and devices. The peer is NumPyro's NUTS at its defaults on the very same
likelihood and priors, its chains on a pretended device each; both draw 500 times in each chain. `cold` is the first fit
of a shape in this process, with an empty cache, and `warm` the second, with another key; of the rows of chains, ours
has compiled nearly all for the row of `chinchilla` above. The effective sample size is ArviZ's, in bulk, the least over
the parameters that levels share; `times` is how many times as many of it ours gives in a second of a warm fit, with its
warm-up. Devices are pretended ones, of the cores there are: more than those are no faster. The replicates of a
bootstrap, and the records of 16 tables of a calibration by NUTS, have to be the same to the bit on any number of them.

    python benchmarks/growth.py
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

CHAINS = (1, 2, 4, 8)
PRETEND = "--xla_force_host_platform_device_count"
if __name__ == "__main__" and "--device" not in sys.argv:
    os.environ["XLA_FLAGS"] = f"{PRETEND}={max(CHAINS)}"  # before JAX is imported

import numpy as np  # noqa: E402
import nuts as contenders  # noqa: E402
import pooling  # noqa: E402
import record  # noqa: E402
import recovery  # noqa: E402

if TYPE_CHECKING:
    from bayescale.model import Model
    from bayescale.runs import Runs

Sampler = Callable[[int], dict[str, np.ndarray]]
RUNS, DRAWS, WARMUP = 240, 500, 500
LAWS = ("power", "power_floor", "chinchilla_tied", "chinchilla", "coupled", "data_constrained")
GROUPS, EACH = (4, 16, 64), 10
DEVICES = (1, 2, 4)
REPLICATES = 65_536


def ours(model: "Model", runs: "Runs", chains: int) -> Sampler:
    """Our sampler: of a key, draws of what levels share, each (chains, draws)."""
    import jax

    from bayescale.infer.nuts import nuts

    def sample(seed: int) -> dict[str, np.ndarray]:
        fit = nuts(jax.random.key(seed), model, runs, chains=chains, draws=DRAWS, retry=False)
        return {name: np.asarray(values) for name, values in fit.draws.items() if np.ndim(values) == 2}

    return sample


def textbook(model: "Model", runs: "Runs", chains: int) -> Sampler:
    """NumPyro's sampler: of a key, draws of what levels share, each (chains, draws)."""
    import jax
    from numpyro.infer import MCMC, NUTS

    from bayescale import parallel

    method = "parallel" if chains > 1 else "sequential"
    settings: dict[str, Any] = {"num_chains": chains, "chain_method": method, "progress_bar": False}
    sampler = MCMC(
        NUTS(model), num_warmup=WARMUP, num_samples=DRAWS, **settings
    )  # one, which keeps what it compiled

    def sample(seed: int) -> dict[str, np.ndarray]:
        with parallel.workbench():
            sampler.run(jax.random.key(seed), runs)
            draws = jax.device_get(sampler.get_samples(group_by_chain=True))
        return {name: np.asarray(values) for name, values in draws.items() if np.ndim(values) == 2}

    return sample


def measure(model: "Model", runs: "Runs", chains: int = 4) -> dict[str, Any]:
    """Both, cold and warm."""
    row: dict[str, Any] = {"runs": len(runs), "chains": chains}
    rates = {}
    for name, contender in {"bayescale": ours, "numpyro": textbook}.items():
        sample = contender(model, runs, chains)
        for state, seed in (("cold", 0), ("warm", 1)):
            began = time.perf_counter()
            draws = sample(seed)
            row[f"{name} {state}, s"] = round(time.perf_counter() - began, 2)
        shared = {p: draws[p] for p in (*model.law.parameters, *model.noise.parameters)}
        rates[name] = contenders.least_ess(shared)[0] / row[f"{name} warm, s"]
        row[f"{name} ESS a second"] = float(f"{rates[name]:.3g}")
    return row | {"times": float(f"{rates['bayescale'] / rates['numpyro']:.3g}")}


def by_parameters() -> list[dict[str, Any]]:
    """A row for each law."""
    from bayescale import noise
    from bayescale.model import Model

    found = []
    for name in LAWS:
        made = recovery.simulate(name, 0, size=RUNS)
        model = Model(made.law, noise.student_t, effects=()).specialise(made.runs)
        row = {"law": name, "parameters": len(made.law.parameters)} | measure(model, made.runs)
        found.append(row)
        print(row, flush=True)
    return found


def by_groups() -> list[dict[str, Any]]:
    """A row for each number of corpora."""
    found = []
    for groups in GROUPS:
        runs, _ = pooling.simulate((groups, EACH))
        row = {"groups": groups} | measure(pooling.model().specialise(runs), runs)
        found.append(row)
        print(row, flush=True)
    return found


def by_chains() -> list[dict[str, Any]]:
    """A row for each number of chains."""
    from bayescale import noise
    from bayescale.model import Model

    made = recovery.simulate("chinchilla", 0, size=RUNS)
    model = Model(made.law, noise.student_t, effects=()).specialise(made.runs)
    found = []
    for chains in CHAINS:
        found.append(measure(model, made.runs, chains))
        print(found[-1], flush=True)
    return found


def on_devices() -> dict[str, Any]:
    """How many refits a second the devices of this process make, once compiled, and what came out."""
    import jax

    from bayescale import noise
    from bayescale.check.calibration import calibrate
    from bayescale.infer.bootstrap import bootstrap
    from bayescale.model import Model

    made = recovery.simulate("chinchilla", 0, size=RUNS)
    model = Model(made.law, noise.huber(), effects=())
    seconds, found = [], hashlib.sha256()
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(3):
            place = Path(folder) / f"{seed}"
            began = time.perf_counter()
            bootstrap(jax.random.key(seed), model, made.runs, replicates=REPLICATES, folder=place)
            seconds.append(time.perf_counter() - began)
        model = Model(made.law, noise.log_normal, effects=())
        calibrate(jax.random.key(0), model, made.runs, replicates=16, folder=Path(folder) / "calibration")
        for block in sorted(Path(folder).glob("*/blocks/*/*.npy")):
            found.update(block.read_bytes())
    return {
        "devices": jax.device_count(),
        "digest": found.hexdigest()[:16],
        "replicates": REPLICATES,
        "first, s": round(seconds[0], 2),
        "next, s": round(min(seconds[1:]), 2),
        "refits a second": round(REPLICATES / min(seconds[1:])),
    }


def by_devices() -> list[dict[str, Any]]:
    """A row for each number of devices, of a process of its own."""
    found = []
    for count in DEVICES:
        done = subprocess.run(
            [sys.executable, __file__, "--device"],
            env=os.environ | {"XLA_FLAGS": f"{PRETEND}={count}"},
            check=True,
            capture_output=True,
            text=True,
        )
        found.append(json.loads(done.stdout))
        print(found[-1], flush=True)
    if len({row["digest"] for row in found}) > 1:
        raise SystemExit("other devices gave other numbers")
    return found


def main() -> None:
    """Measure all, print a line for each row, and write the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", action="store_true", help=argparse.SUPPRESS)
    if parser.parse_args().device:
        return print(json.dumps(on_devices()))
    results = record.header("python benchmarks/growth.py")
    with tempfile.TemporaryDirectory() as cache:
        os.environ["BAYESCALE_CACHE"] = cache
        for name, part in (
            ("parameters", by_parameters),
            ("groups", by_groups),
            ("chains", by_chains),
            ("devices", by_devices),
        ):
            results[name] = part()
            record.write("growth", results)


if __name__ == "__main__":
    main()
