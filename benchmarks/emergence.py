"""How often a jump of a score is told from an artefact of its metric, where it is known which it is.

Models on 19 to 23 decades of compute, whose negative log likelihood for each token of the answer is a power of compute
with noise of 3%, and 200 answers that count only where every token is right.

- smooth: no break, and answers of 40 tokens: the score seems to emerge.
- jump: the likelihood falls by a factor of 7 at 21.2 decades, with answers of 20 tokens.
- kink: it begins to fall at 21.2 decades, with answers of 20 tokens.

    python benchmarks/emergence.py --replicates 100
"""

import argparse
from typing import TYPE_CHECKING, Any

import numpy as np
import record

if TYPE_CHECKING:
    from bayescale.tasks.emergence import Emergence

ITEMS, NOISE, PLACE = 200, 0.03, 21.2
# Scores at 19, ..., 23 decades: smooth .00 .00 .03 .21 .52; jump .00 .00 .02 .61 .64; kink .00 .00 .00 .16 .62.
TRUTHS = {"smooth": 40, "jump": 20, "kink": 20}


def log_nll(truth: str, x: np.ndarray) -> np.ndarray:
    """The logarithm of the nats for each token, (models,)."""
    if truth == "smooth":
        return np.log(0.0163) - 0.85 * (x - 23)
    if truth == "jump":
        return np.log(0.0223) - 0.1 * (x - 23) + 1.95 * (x < PLACE)
    return np.log(0.0239) - 0.1 * (x - 23) + 1.3 * np.maximum(23 - np.maximum(x, PLACE), 0)


def measure(truth: str, models: int, seed: int) -> "Emergence":
    """The verdict on one simulated ladder of models."""
    from bayescale.tasks.emergence import emergence, exact_match

    rng = np.random.default_rng([seed, models, list(TRUTHS).index(truth)])
    x, link = np.linspace(19, 23, models), exact_match(TRUTHS[truth])
    nll = np.exp(log_nll(truth, x) + NOISE * rng.standard_normal(models))
    successes = rng.binomial(ITEMS, link(nll))
    return emergence(10**x, {"nats for each token": nll}, successes, ITEMS, link)


def study(truth: str, models: int, replicates: int) -> dict[str, Any]:
    """The evidence, forecasts and verdicts of many of them."""
    found = [measure(truth, models, seed) for seed in range(replicates)]
    kinks, jumps = (np.array([getattr(one.ladder[0], kind) for one in found]) for kind in ("kink", "jump"))
    named, counts = np.unique([one.verdict for one in found], return_counts=True)
    return {
        "kink": spread(kinks),
        "jump": spread(jumps),
        "no_break": float(np.mean(np.maximum(kinks, jumps) < -2)),
        "jump_above_10": float(np.mean(jumps > 10)),
        "kink_above_15": float(np.mean(kinks > 15)),
        "covered_90": round(float(np.mean([one.covered[-1] for one in found if len(one.tail)])), 3),
        "forecasts": sum(len(one.tail) > 0 for one in found),
        "verdicts": dict(zip(named.tolist(), counts.tolist(), strict=True)),
    }


def spread(values: np.ndarray) -> list[float]:
    """Median, 10% and 90%."""
    return np.round(np.quantile(values, (0.5, 0.1, 0.9)), 2).tolist()


def main() -> None:
    """Do all, print what came out and write it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--replicates", type=int, default=100, help="ladders of each kind")
    replicates = parser.parse_args().replicates
    results = record.header(f"python benchmarks/emergence.py --replicates {replicates}")
    results |= {"replicates": replicates, "values": "median, 10%, 90%", "studies": {}}
    for truth in TRUTHS:
        for models in (8, 16):
            one = study(truth, models, replicates)
            results["studies"][f"{truth}, {models} models"] = one
            print(f"{truth}, {models} models: {one}", flush=True)
    print(f"written to {record.write('emergence', results)}")


if __name__ == "__main__":
    main()
