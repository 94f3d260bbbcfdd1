"""What verdicts say of simulated suites of which it is known what they are.

Suites of 100 tasks, with one attempt of each of 8 models at each task, the models on 19 to 23 decades of compute.

- diverse: thresholds of tasks about 21 with a standard deviation of a decade, 4 logits for each decade.
- sharp: one task a hundred times over, as sha256^n: thresholds within 0.02 decades, 25 logits for each.
- flat: 30% whatever the compute, as of the number of GPUs given compute.
- gradual: one threshold for all, 2 logits for each decade.
- erratic: each model at a level of its own. inverse: diverse, upside down. turn: 75%, 15%, and 75% again.
- stairs: ten families, each of which turns on at once; smooth or erratic, which is not to be told.

    python benchmarks/verdicts.py --suites 60 --others 12
"""

import argparse
from typing import TYPE_CHECKING, Any

import numpy as np
import record
from scipy.special import expit

if TYPE_CHECKING:
    from bayescale.tasks.verdict import Verdict

TASKS, MODELS = 100, 8
FIRST = 1000  # seed: priors and limits were chosen on suites of smaller ones
# Each with what the verdict should be.
TRUTHS = {
    "diverse": "smooth",
    "sharp": "sharp",
    "flat": "constant",
    "gradual": "smooth",
    "erratic": "erratic",
    "inverse": "inverse",
    "turn": "broken",
    "stairs": None,
}
ACCEPTED = ("diverse", "sharp", "flat")  # those that have bounds of acceptance


def simulate(truth: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Compute and successes, (models,)."""
    rng = np.random.default_rng([seed, list(TRUTHS).index(truth)])
    x = np.linspace(19, 23, MODELS)
    above = x[:, None] - 21
    p = {
        "diverse": lambda: expit(4 * (above - rng.normal(size=TASKS))),
        "sharp": lambda: expit(25 * (above - rng.uniform(-1, 1) - 0.02 * rng.normal(size=TASKS))),
        "flat": lambda: np.full((MODELS, TASKS), 0.3),
        "gradual": lambda: expit(2 * above) + np.zeros(TASKS),
        "erratic": lambda: rng.uniform(size=(MODELS, 1)) + np.zeros(TASKS),
        "inverse": lambda: expit(-4 * (above - rng.normal(size=TASKS))),
        "turn": lambda: 0.15 + 0.15 * above**2 + np.zeros(TASKS),
        "stairs": lambda: expit(20 * (above - np.repeat(rng.normal(size=10), TASKS // 10))),
    }[truth]()
    return 10**x, (rng.random(p.shape) < p).sum(axis=1)


def measure(truth: str, seed: int) -> "Verdict":
    """The verdict on one simulated suite."""
    import jax

    from bayescale.tasks.verdict import verdict

    return verdict(jax.random.key(seed), *simulate(truth, seed), TASKS)


def study(truth: str, suites: int) -> dict[str, Any]:
    """The verdicts on many of them."""
    from bayescale.tasks.verdict import KINDS

    found = [measure(truth, FIRST + i) for i in range(suites)]
    named, counts = np.unique([one.kind for one in found], return_counts=True)
    widths = np.array([one.width for one in found])
    known = np.isfinite(widths[:, 1])
    return {
        "suites": suites,
        "probabilities": {
            k: round(float(np.mean([one.probabilities[k] for one in found])), 4) for k in KINDS
        },
        "kinds": dict(zip(named.tolist(), counts.tolist(), strict=True)),
        "width": np.round(np.quantile(widths[known, 1], (0, 0.5, 1)), 3).tolist() if known.any() else [],
        "in_doubt": sum(bool(one.trouble) for one in found),
    }


def main() -> None:
    """Do all, print what came out and write it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--suites", type=int, default=60, help="of diverse, sharp and flat ones")
    parser.add_argument("--others", type=int, default=12, help="of each of the others")
    told = parser.parse_args()
    results = record.header(f"python benchmarks/verdicts.py --suites {told.suites} --others {told.others}")
    results |= {"tasks": TASKS, "models": MODELS, "width": "least, median, greatest", "truths": {}}
    for truth in TRUTHS:
        one = study(truth, told.suites if truth in ACCEPTED else told.others)
        results["truths"][truth] = one
        print(f"{truth}: {one}", flush=True)
        record.write("verdicts", results)
    print(f"written to {record.write('verdicts', results)}")


if __name__ == "__main__":
    main()
