"""How often the number of GPUs is found to matter at fixed compute, where it does not and where it does.

Tables of 32 runs, whose loss is a power of compute to a floor with log-normal noise of 1%, on 8 to 1024 GPUs as it
happened. The exponent of the number of GPUs has a prior of 5% of the loss for each decade.

- At fixed compute: tables in which the number of GPUs has no effect, and tables with 2% of the loss for each decade.
- Compute left out: tables in which the number of GPUs follows compute, and a law that has no compute.

    python benchmarks/relevance.py --tables 400
"""

import argparse
import time
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import record

if TYPE_CHECKING:
    from bayescale.check.relevance import Relevance
    from bayescale.model import Model
    from bayescale.runs import Runs

RUNS = 32
FLOOR, TERM, EXPONENT = 1.8, 0.9, 0.15  # the exponent for each decade of compute
SIGMA = 0.01
PER_DECADE = 0.05  # of the loss: the standard deviation of the prior of an effect
EFFECT = 0.02  # of the loss for each decade, where there is one
DRAWS = 500  # of each of 4 chains


def simulate(seed: int, effect: float = 0.0, *, follows: bool = False) -> "Runs":
    """A table of runs, whose loss is a function of compute and, with an `effect`, of the number of GPUs."""
    from bayescale.runs import Runs

    rng = np.random.default_rng(seed)
    decades = rng.uniform(18, 22, RUNS)
    gpus = np.exp2(np.round(rng.uniform(3, 10, RUNS)))
    if follows:
        gpus = np.exp2(np.round(3 + 1.7 * (decades - 18) + 0.1 * rng.standard_normal(RUNS)))
    loss = FLOOR + TERM * 10 ** (-EXPONENT * (decades - 20))
    loss = loss * np.exp(SIGMA * rng.standard_normal(RUNS)) * np.exp(effect * np.log10(gpus))
    return Runs.make({"C": 10**decades, "gpus": gpus, "loss": loss}, response="loss")


@cache
def models() -> tuple["Model", "Model"]:
    """The law of compute without and with the number of GPUs, made once: of each only one is compiled."""
    import numpyro.distributions as dist

    from bayescale import models, noise
    from bayescale.law import irrelevant
    from bayescale.model import Model

    law = models.load("power_floor").along("C")
    prior = dist.Normal(0.0, PER_DECADE / np.log(10))
    more = irrelevant(law, "gpus").replace(priors={"gamma_gpus": prior})
    return Model(law, noise.log_normal, effects=()), Model(more, noise.log_normal, effects=())


def measure(seed: int, effect: float) -> "Relevance":
    """What `bayescale.relevance` finds for that key and table, with the prior for each decade."""
    import jax

    from bayescale.check.relevance import Relevance, tracked
    from bayescale.infer.evidence import log_evidence
    from bayescale.infer.nuts import nuts

    runs, keys = simulate(seed, effect), jax.random.split(jax.random.key(seed), 4)
    without, within = (
        log_evidence(keys[2 + i], nuts(keys[i], one, runs, draws=DRAWS)) for i, one in enumerate(models())
    )
    return Relevance("gpus", without, within, *tracked(runs, ("C",), "gpus"))


def study(tables: int, effect: float) -> dict[str, Any]:
    """Log Bayes factors for the number of GPUs, of the tables that have one, and why the others have none."""
    leads, errors, held, refused = [], [], 0, {}
    began = time.perf_counter()
    for seed in range(tables):
        one = measure(seed, effect)
        if one.findings:
            refused[str(seed)] = one.findings[0].message
        else:
            lead, error = one.log_bayes_factor
            leads.append(round(lead, 3))
            errors.append(error)
            low, _, high = one.gamma
            held += low < effect / np.log(10) < high
        if seed % 20 == 19:
            said = f"median {np.median(leads):+.2f} nats, {len(refused)} without a verdict"
            print(
                f"effect {effect:g}: {seed + 1} tables, {said}, {time.perf_counter() - began:.0f} s",
                flush=True,
            )
    return {
        "effect": effect,
        "tables": tables,
        "refused": refused,
        "log_bayes_factors": leads,
        "median": round(float(np.median(leads)), 3),
        "for": share(np.array(leads) > np.log(3)),
        "against": share(np.array(leads) < -np.log(3)),
        "greatest_error": float(f"{max(errors):.2g}"),
        "coverage_90": round(held / len(leads), 4),
    }


def share(told: np.ndarray) -> float:
    """How many of them, to four digits."""
    return round(float(np.mean(told)), 4)


def caught(tables: int) -> float:
    """How often it is found that the number of GPUs may stand for compute, where the law has none."""
    from bayescale.check.relevance import tracked

    return share(
        np.array(["C" in tracked(simulate(seed, follows=True), (), "gpus")[1] for seed in range(tables)])
    )


def main() -> None:
    """Do all three, print what came out and write it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tables", type=int, default=400, help="tables of each kind")
    tables = parser.parse_args().tables
    results = record.header(f"python benchmarks/relevance.py --tables {tables}")
    results |= {"runs": RUNS, "without": study(tables, 0.0), "within": study(tables, EFFECT)}
    results["caught"] = caught(tables)
    for name in ("without", "within"):
        one = results[name]
        print(
            f"effect {one['effect']:g} a decade: median {one['median']:+.2f} nats, decided for it {one['for']:.1%}, "
            f"against it {one['against']:.1%}, 90% intervals hold it {one['coverage_90']:.1%}, "
            f"no verdict on {len(one['refused'])} of {tables}"
        )
    print(f"compute left out: found in {results['caught']:.1%}")
    print(f"written to {record.write('relevance', results)}")


if __name__ == "__main__":
    main()
