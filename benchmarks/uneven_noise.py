"""Noise that is wider where tokens are few, as on the Chinchilla points: which models hold the truth, and what is said.

On the 240 designs of Besiroglu et al. 2024 losses are simulated from their constants with normal log noise of .0128 in
the lowest fifth of D/N and .0047 elsewhere, as the residuals of the points have it. Models: the default one (Student-t
noise, shocks of the sizes that repeat), the same without shocks, normal noise of one scale, and Student-t noise whose
scale goes with D/N. Coverage of 90% intervals by NUTS, of parameters and of N at 1e23 FLOP, with 95% intervals (Clopper
and Pearson) of all of them together as if they were independent of each other; and how often NOISE_SCALE is said.

    python benchmarks/uneven_noise.py --tables 100
"""

import argparse
from typing import TYPE_CHECKING, Any

import numpy as np
import record
from nuts import DATA

if TYPE_CHECKING:
    from bayescale.fit import Fit
    from bayescale.model import Model
    from bayescale.runs import Runs

TRUTH = {"E": 1.8172, "A": 477.83, "B": 2143.4, "alpha": 0.34731, "beta": 0.36717}
WIDE, NARROW, FIFTH = 0.0128, 0.0047, 0.2
BUDGET = 1e23
SAMPLER = {"chains": 2, "draws": 400, "warmup": 300, "target": 0.9}
AT_ONCE = 10  # tables fitted side by side


def models_of() -> "dict[str, Model]":
    """Name -> model."""
    from bayescale import models, noise
    from bayescale.model import Model

    law = models.load("chinchilla")
    return {
        "default": Model(law, noise.student_t),
        "student_t, one scale": Model(law, noise.student_t, effects=()),
        "log_normal, one scale": Model(law, noise.log_normal, effects=()),
        "student_t, scale with D/N": Model(law, noise.student_t.scaled("D/N"), effects=()),
    }


def tables(count: int) -> "list[Runs]":
    """Tables of the design of the points."""
    from bayescale import data

    runs = data.load(DATA)
    N, D = (np.asarray(runs.columns[c]) for c in "ND")
    mean = TRUTH["E"] + TRUTH["A"] * N ** -TRUTH["alpha"] + TRUTH["B"] * D ** -TRUTH["beta"]
    ratio = D / N
    scale = np.where(ratio <= np.quantile(ratio, FIFTH), WIDE, NARROW)
    normal = np.random.default_rng(0).standard_normal((count, len(N)))
    return [runs.replace(response=mean * np.exp(scale * one)) for one in normal]


def said_of(fit: "Fit") -> dict[str, Any]:
    """What a fit holds, how wide its interval of beta is, and whether it says that the noise is uneven."""
    from bayescale.check.scatter import scatter
    from bayescale.decide import allocate

    draws = {name: np.asarray(fit.centre()[name]).ravel() for name in TRUTH}
    best, _ = allocate.split(fit, BUDGET, centre=True, strict=False, bounds=allocate.WIDE)
    draws["N at 1e23 FLOP"] = np.asarray(best).ravel()
    a, b = TRUTH["alpha"], TRUTH["beta"]
    at = (a * TRUTH["A"] / (b * TRUTH["B"])) ** (1 / (a + b)) * (BUDGET / 6) ** (b / (a + b))
    truth = TRUTH | {"N at 1e23 FLOP": at}
    ends = {name: np.quantile(values, (0.05, 0.95)) for name, values in draws.items()}
    return {
        "held": {name: bool(low <= truth[name] <= high) for name, (low, high) in ends.items()},
        "width": float(np.ptp(ends["beta"])),
        "told": any(True for _ in scatter(fit)),
        "converged": fit.converged,
    }


def main() -> None:
    """Fit every table with every model, print a line for each, and write the table."""
    import jax
    from scipy.stats import beta

    from bayescale.infer.many import nuts_each

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tables", type=int, default=100)
    given = parser.parse_args()
    made = tables(given.tables)
    results = record.header("python benchmarks/uneven_noise.py --tables 100") | {"models": {}}
    for name, model in models_of().items():
        every = []
        for begin in range(0, len(made), AT_ONCE):
            fits = nuts_each(jax.random.key(begin), model, made[begin : begin + AT_ONCE], **SAMPLER)
            every += [said_of(fit) for fit in fits]
        held = {q: sum(one["held"][q] for one in every) for q in every[0]["held"]}
        total, of = sum(held.values()), len(every) * len(held)
        results["models"][name] = {
            "tables": len(every),
            "cover90": round(total / of, 3),
            "low": round(float(beta.ppf(0.025, total, of - total + 1)), 3),
            "high": round(float(beta.ppf(0.975, total + 1, of - total)), 3),
            **{q: round(count / len(every), 3) for q, count in held.items()},
            "width of beta": round(float(np.median([one["width"] for one in every])), 4),
            "NOISE_SCALE said": round(float(np.mean([one["told"] for one in every])), 3),
            "converged": round(float(np.mean([one["converged"] for one in every])), 3),
        }
        print(name, results["models"][name], flush=True)
        record.write("uneven_noise", results)


if __name__ == "__main__":
    main()
