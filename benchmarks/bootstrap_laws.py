"""What a refit of each law costs where its derivatives are found automatically.

Every law of loss gets a table of 240 runs, simulated from it with log-normal noise of 1% over five decades of each
covariate, which teach it all its parameters. The tables are refitted to resamples of their runs with Huber's loss, in
one process on one core; times are CPU time without compilation, with the drawing of weights. Laws that say what terms
they are a sum of are asked to forget it.

    python benchmarks/bootstrap_laws.py --rounds 3
"""

import argparse
import os
import sys
from typing import TYPE_CHECKING, Any

import record
from bootstrap import cell, cpu
from bootstrap_peers import DELTA
from nuts import spread
from recovery import simulate

if TYPE_CHECKING:
    from bayescale.infer.replicates import Job
    from bayescale.model import Model
    from bayescale.runs import Runs

SIZE = 240
DECADES = 5.0
MOST = 150  # us of a refit
# The law lies between two levels, and the runs have to see both.
TRUTHS = {"m4": {"A": 0.3, "alpha": 0.5}}


def problem(name: str) -> tuple["Model", "Runs"]:
    """A model of the law of that name, whose derivatives nobody has written down, and a table simulated from it."""
    from bayescale import noise
    from bayescale.model import Model

    study = simulate(name, 0, size=SIZE, decades=DECADES, truth=TRUTHS.get(name))
    law = study.law.replace(terms=(), floor=None)
    return Model(law, noise.huber(DELTA), effects=()), study.runs


def measure(job: "Job", fits: int, rounds: int) -> dict[str, Any]:
    """CPU time of a refit, in us, and how refits end."""
    import numpy as np

    from bayescale.blocks import BLOCK
    from bayescale.infer.replicates import CONVERGED

    blocks = range(-(-fits // BLOCK))
    ended = np.concatenate([block for k in blocks for block in job((k,))])  # and compiles
    times = [cpu(lambda: [job((k,)) for k in blocks], len(ended)) for _ in range(rounds)]
    return {
        "refit_us": spread(times),
        "converged": float((ended["state"] == CONVERGED).mean()),
        "looks": round(float(ended["looks"].mean()), 2),  # in double precision
    }


def main() -> None:
    """Measure every law, print the table and write the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--fits", type=int, default=4096, help="refits in each round")
    options = parser.parse_args()
    os.environ["JAX_PLATFORMS"] = "cpu"
    if hasattr(os, "sched_setaffinity"):  # before JAX begins as many threads as there are cores
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    import jax

    from bayescale import models
    from bayescale.infer.bootstrap import bootstrap

    results = record.header(" ".join(["python benchmarks/bootstrap_laws.py", *sys.argv[1:]]))
    results |= {"values": "median, least, greatest", "rounds": options.rounds, "fits": options.fits}
    results |= {"runs": SIZE, "decades": DECADES, "laws": {}}
    print(f"{'law':18}{'CPU time of a refit (us)':>28}  converged  looks in double   (at most: {MOST})")
    for name in models.names():
        if models.load(name).response != "loss":
            continue
        job = bootstrap(jax.random.key(0), *problem(name), replicates=1).job
        found = measure(job, options.fits, options.rounds)
        results["laws"][name] = found
        print(
            f"{name:18}{cell(found['refit_us']):>28}{found['converged']:>11.2%}{found['looks']:>17}",
            flush=True,
        )
    print(f"written to {record.write('bootstrap_laws', results)}")


if __name__ == "__main__":
    main()
