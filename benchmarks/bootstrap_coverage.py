"""How often bootstrap intervals hold the truth, by kind of interval and of resampling, beside those of the posterior.

Tables are those of a designer: 42 runs on isoFLOP curves from 1e18 to 1e21 FLOP, of the Chinchilla law as Besiroglu et
al. 2024 found it with noise of .5%. The noise is log-normal and known to be; or Student-t with 3 degrees of freedom, to
which Huber's loss is fitted; or log-normal with a shock of 1% that all runs of one size share, which the bootstrap
resamples by run or, as the tool does, by size. Each table is refitted 1,000 times, and its posterior sampled. Asked are
the exponents and the floor, the best N and D/N at 1e23 FLOP, and the loss there at 20 tokens for each parameter.

    python benchmarks/bootstrap_coverage.py --tables 256

A study that was interrupted goes on with --folder.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import record
from misfit import NU, RATIO, SIGMA, TRUTHS, law

if TYPE_CHECKING:
    from bayescale.model import Model
    from bayescale.runs import Runs

BUDGET, SHOCK = 1e23, 0.01
SAMPLER = {"chains": 2, "draws": 600, "warmup": 300, "target": 0.95}
BOOTSTRAPS = {
    "percentile": {},
    "basic": {"interval": "basic"},
    "bca": {"interval": "bca"},
    "studentised": {"interval": "studentised"},
    "residual, percentile": {"resampling": "residual"},
    "wild, percentile": {"resampling": "wild"},
    "parametric, percentile": {"resampling": "parametric"},
    "Bayesian, percentile": {"resampling": "bayesian"},
}
FEWER = ("percentile", "basic", "bca")


def design() -> "Runs":
    """The runs, with the factor of sizes."""
    from bayescale.check.designs import columns_of
    from bayescale.runs import Runs

    columns = columns_of("isoflop", np.random.default_rng(0), ("N", "D"))
    sizes = np.digitize(np.log10(columns["N"]), np.arange(6, 12, 0.25))
    return Runs.make(
        {**columns, "loss": np.full(len(sizes), 2.5), "size": [f"size {k}" for k in sizes]},
        factors=["size"],
    )


def cases() -> "dict[str, tuple[Model, Model, dict[str, float], tuple[str, ...]]]":
    """Name -> the model behind the tables, the one that is fitted, the truth, and the bootstraps that are asked for."""
    from bayescale import noise
    from bayescale.model import Model
    from bayescale.pooling import Effect

    name, parameters = TRUTHS["chinchilla"]
    form, known = law(name), {**parameters, "sigma": SIGMA}
    plain = Model(form, noise.log_normal, effects=())
    shocked = plain.replace(effects=(Effect("size"),))
    shocks = {**known, "size_effect_scale": SHOCK}
    return {
        "log-normal noise": (plain, plain, known, tuple(BOOTSTRAPS)),
        "Student-t noise, Huber's loss": (
            plain.replace(noise=noise.student_t),
            plain.replace(noise=noise.huber()),
            {**known, "nu": NU},
            FEWER,
        ),
        "shocks of sizes, resampled by size": (shocked, shocked, shocks, FEWER),
        "shocks of sizes, resampled by run": (shocked, plain, shocks, FEWER),
    }


def asked() -> dict[str, Callable]:
    """Decisions and the forecast."""
    from bayescale.decide import allocate

    def split(fit):
        return allocate.split(fit, BUDGET, centre=True, strict=False, bounds=allocate.WIDE)

    N = np.sqrt(BUDGET / (6 * RATIO))
    return {
        "N at 1e23 FLOP": lambda fit: split(fit)[0],
        "D/N at 1e23 FLOP": lambda fit: np.divide(*split(fit)[::-1]),
        "loss at 1e23 FLOP": lambda fit: fit.mean(fit.centre(), N=N, D=RATIO * N),
    }


def measure(case: str, how: str, tables: int, folder: Path | None) -> list[dict[str, Any]]:
    """One case by one method: how often intervals of each quantity held it."""
    import jax

    from bayescale.check.calibrated import LEVELS
    from bayescale.check.calibration import calibrate
    from bayescale.infer.simulated import truth_of

    behind, fitted, parameters, _ = cases()[case]
    runs = design()
    method = "nuts" if how == "posterior" else "bootstrap"
    found = calibrate(
        jax.random.key(0),
        fitted,
        runs,
        replicates=tables,
        quantities=asked(),
        truth=truth_of(behind, runs, parameters),
        method=method,
        folder=folder / f"{case}, {how}" if folder else None,
        resume=True,
        **(SAMPLER if method == "nuts" else BOOTSTRAPS[how]),
    )
    return [
        {"case": case, "intervals": how, "converged": found.counts["converged"], "quantity": row["quantity"]}
        | {f"{100 * level:g}%": round(float(row[f"cover{100 * level:g}"]), 3) for level in LEVELS}
        for row in found.rows()
    ]


def main() -> None:
    """Measure, print a line for each method, and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tables", type=int, default=256, help="of each case")
    parser.add_argument("--folder", type=Path, help="where studies are kept, so that they can be resumed")
    given = parser.parse_args()
    results = record.header("python benchmarks/bootstrap_coverage.py --tables 256")
    results |= {"tables": given.tables, "held": []}
    for case, (*_, hows) in cases().items():
        for how in (*hows, "posterior"):
            rows = measure(case, how, given.tables, given.folder)
            held = {row["quantity"]: row["90%"] for row in rows}
            print(f"{case}; {how}: {rows[0]['converged']} converged; 90% held {held}", flush=True)
            results["held"] += rows
        record.write("bootstrap_coverage", results)


if __name__ == "__main__":
    main()
