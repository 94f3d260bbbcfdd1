"""What an accelerator is good for: batches of posteriors, refits and responses, beside the processor next to it.

- Posteriors: 4,096 simulated tables of 40 runs fitted with the Chinchilla law by NUTS in one program, a lane for each
  chain, once (`calibrate --method lanes` tries those that did not converge once more), beside 64 of them one after
  another on all cores (`--method nuts`, second tries included).
- Refits: a bootstrap of the 240 Chinchilla points, a million replicates beside 16,384 on the processor.
- Responses: item response to 10,000 models at 10,000 tasks, a hundred million, by the variational approximation.

Programs are compiled before the clock runs, but for the responses. Each part is a process of its own.

    python benchmarks/accelerator.py
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import record

LANES, ONE_BY_ONE = 4096, 64
REPLICATES, ON_CORES = 1_048_576, 16_384
MODELS, TASKS = 10_000, 10_000


def posteriors() -> dict[str, Any]:
    """Fits a second, in lanes and one by one."""
    import jax
    from calibration import designed

    from bayescale import models, noise
    from bayescale.check import calibration, trial
    from bayescale.infer.many import nuts_in_lanes
    from bayescale.infer.simulated import from_priors, table_of
    from bayescale.model import Model

    design = designed("chinchilla")
    model = Model(models.load("chinchilla"), noise.student_t, effects=()).specialise(design)
    _, responses = from_priors(jax.random.split(jax.random.key(1), LANES), model, design)
    tables = [table_of(design, response) for response in responses[:ONE_BY_ONE]]

    def in_lanes(seed: int) -> list:
        return nuts_in_lanes(
            jax.random.split(jax.random.key(seed), LANES), model, design, responses, **calibration.SAMPLER
        )

    def one_by_one(seed: int) -> list:
        return list(trial._fits(jax.random.key(seed), model, tables, "nuts", calibration.SAMPLER))

    found = {}
    for name, run, count in (("lanes", in_lanes, LANES), ("one_by_one", one_by_one, ONE_BY_ONE)):
        run(0)
        began = time.perf_counter()
        fits = run(1)
        seconds = time.perf_counter() - began
        sound = float(np.mean([fit is not None and trial.sound(fit) for fit in fits]))
        found[name] = {"tables": count, "seconds": seconds, "a_second": count / seconds, "sound": sound}
    return found


def refits(replicates: int) -> dict[str, Any]:
    """Replicates of a bootstrap a second, on the device that is there."""
    import jax
    from bootstrap_ours import problem

    from bayescale.blocks import BLOCK
    from bayescale.infer.bootstrap import bootstrap

    model, runs = problem("chinchilla")
    bootstrap(jax.random.key(0), model, runs, replicates=ON_CORES)
    began = time.perf_counter()
    study = bootstrap(jax.random.key(0), model, runs, replicates=replicates)
    seconds = time.perf_counter() - began
    records = next(iter(study.blocks(ON_CORES // BLOCK)))
    alpha = np.asarray(records["alpha"])
    return {
        "replicates": replicates,
        "seconds": seconds,
        "a_second": replicates / seconds,
        "device": jax.devices()[0].device_kind,
        "alpha": np.quantile(alpha, [0.05, 0.5, 0.95]).tolist(),
        "objective": float(np.sum(records["objective"])),
    }


def responses() -> dict[str, Any]:
    """A hundred million responses."""
    from tasks import approximated

    return approximated(MODELS, TASKS, 1, check=False)


PARTS: dict[str, Callable[[], dict[str, Any]]] = {
    "posteriors": posteriors,
    "refits": lambda: refits(REPLICATES),
    "refits_on_cores": lambda: refits(ON_CORES),
    "responses": responses,
}


def main() -> None:
    """Measure each part in a process of its own, and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="*", choices=PARTS, default=list(PARTS))
    parser.add_argument("--child", choices=PARTS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        print(json.dumps(PARTS[given.child]()))
        return
    import jax

    results = record.read("accelerator") | record.header("python benchmarks/accelerator.py")
    results["device"] = jax.devices()[0].device_kind
    for name in given.only:
        own = {"JAX_PLATFORMS": "cpu"} if name.endswith("on_cores") else {}
        began = time.perf_counter()
        done = subprocess.run(
            [sys.executable, __file__, "--child", name],
            env={**os.environ, **own},
            stdout=subprocess.PIPE,
            check=True,
        )
        results[name] = json.loads(done.stdout) | {"whole_process": time.perf_counter() - began}
        print(name, json.dumps(results[name]), flush=True)
        record.write("accelerator", results)


if __name__ == "__main__":
    main()
