"""Whether posteriors hold the truth as often as they say: simulation-based calibration of every law.

Tables of 40 runs, with covariates over 2.5 decades (laws of success: 20 tries in each run), whose parameters are drawn
from the priors, responses from the law and its default noise, Student-t or beta-binomial; each is fitted by NUTS. The
ranks of the truth are even if all is well. Besides the laws: other kinds of noise, a scale that goes with D/N, shocks
of sizes, and parameters that differ by corpus. Laws of loss in N and D are asked for predictions and decisions too, and
those in one covariate for the loss a decade beyond the runs.

    python benchmarks/calibration.py --replicates 1024

With --method lanes all tables of a study are fitted in one program, on an accelerator if there is one; models with
levels are fitted one after another. A study that was interrupted goes on with --folder; what is finished is written at
once. With --only, those named are measured and the others stay as they are: each says by what it was measured, and the
`seconds` of one that went on are those of its last process. That of `routed` has 2,048 tables; docs/stress.md says why.
That of `broken_power` is from before the loss a decade out was asked for.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import record
import recovery

if TYPE_CHECKING:
    from bayescale.check.calibrated import Calibration
    from bayescale.model import Model
    from bayescale.runs import Runs

RUNS, TRIES = 40, 20
# On a processor two chains are enough to rank a truth among a hundred draws, and few tables need a second try.
ONE_BY_ONE = {"chains": 2, "draws": 600, "warmup": 300, "target": 0.95}
BUDGET = 1e23  # FLOP, two decades beyond the design, for laws in N and D
RATIO = 20.0  # tokens for each parameter where the loss of such a budget is predicted
CHEAPER = 0.98  # the target is 2% under the least loss that was measured
SIZES, CORPORA = 8, 4
OTHERS = ("log_normal", "gaussian", "huber")  # kinds of noise besides the default one


def designed(name: str) -> "Runs":
    """The design of a law."""
    runs = recovery.simulate(name, 0, size=RUNS).runs
    if runs.kind == "success":
        return runs.replace(columns={**runs.columns, "trials": np.full(len(runs), float(TRIES))})
    return runs


def grouped(runs: "Runs", by: str, levels: int) -> "Runs":
    """The design with a factor, whose levels are dealt out in turn."""
    index = np.arange(len(runs), dtype=np.int32) % levels
    named = tuple(f"{by} {i + 1}" for i in range(levels))
    return runs.replace(factors={by: index}, levels={by: named})


def studies() -> Iterator[tuple[str, Callable[[], tuple["Model", "Runs"]]]]:
    """What is calibrated: a name, and how to make the model and the design."""
    from bayescale import models, noise
    from bayescale.law import AXIS
    from bayescale.model import Model
    from bayescale.pooling import Effect, Pooling

    def law(name: str) -> Any:
        one = models.load(name)
        return one.along("N") if AXIS in one.covariates else one

    def default(name: str) -> "tuple[Model, Runs]":
        kind = noise.student_t if law(name).response == "loss" else noise.beta_binomial
        return Model(law(name), kind, effects=()), designed(name)

    for name in models.names():
        yield name, lambda name=name: default(name)
    for kind in OTHERS:
        yield (
            f"chinchilla, {kind}",
            lambda kind=kind: (
                Model(law("chinchilla"), noise.load(kind), effects=()),
                designed("chinchilla"),
            ),
        )
    yield (
        "chinchilla, scale with D/N",
        lambda: (
            Model(law("chinchilla"), noise.student_t.scaled("D/N"), effects=()),
            designed("chinchilla"),
        ),
    )
    yield (
        "chinchilla, shocks of sizes",
        lambda: (
            Model(law("chinchilla"), noise.student_t, effects=(Effect("lab"),)),
            grouped(designed("chinchilla"), "lab", SIZES),
        ),
    )
    yield (
        "chinchilla, E and B by corpus",
        lambda: (
            Model(law("chinchilla"), noise.student_t, pooling=(Pooling(("E", "B"), "corpus"),), effects=()),
            grouped(designed("chinchilla"), "corpus", CORPORA),
        ),
    )
    yield (
        "logistic, threshold by task",
        lambda: (
            Model(law("logistic"), noise.binomial, pooling=(Pooling(("threshold",), "task"),), effects=()),
            grouped(designed("logistic"), "task", SIZES),
        ),
    )


def asked_of(model: "Model", design: "Runs") -> dict[str, Callable]:
    """What is asked of each fit besides its parameters: predictions and decisions, where a law of loss has them."""
    if model.law.response != "loss" or model.pooling:
        return {}
    if len(model.law.covariates) == 1:
        (axis,) = model.law.covariates
        beyond = {axis: 10 * np.max(design.columns[axis])}
        return {"loss a decade out": lambda fit: fit.mean(fit.centre(), **beyond)}
    if {"N", "D"} != set(model.law.covariates):
        return {}
    from bayescale.decide import allocate, budget
    from bayescale.decide.surface import surface

    def split(fit):
        return allocate.split(fit, BUDGET, centre=True, strict=False, bounds=allocate.WIDE)

    def least(fit):
        # A loss that is in reach of nearly all tables, whatever their unit: that of none is.
        return budget.needed(surface(fit, centre=True), CHEAPER * fit.runs.response.min())

    N = np.sqrt(BUDGET / (6 * RATIO))
    return {
        "N at 1e23 FLOP": lambda fit: split(fit)[0],
        "D/N at 1e23 FLOP": lambda fit: np.divide(*split(fit)[::-1]),
        "loss at 1e23 FLOP": lambda fit: fit.mean(fit.centre(), N=N, D=RATIO * N),
        "C for the target": least,
    }


def measure(name: str, make: Callable, replicates: int, folder: Path | None, method: str) -> dict[str, Any]:
    """One study, and what is kept of it; models with levels have no lanes."""
    import jax

    from bayescale.check.calibration import ALGORITHM, calibrate

    model, design = make()
    model = model.specialise(design)
    method = "nuts" if model.factors else method
    began = time.perf_counter()
    here = folder / name.replace("/", " per ") if folder else None
    found = calibrate(
        jax.random.key(0),
        model,
        design,
        replicates=replicates,
        quantities=asked_of(model, design),
        method=method,
        folder=here,
        resume=True,
        **(ONE_BY_ONE if method == "nuts" else {}),
    )
    device = jax.devices()[0].device_kind if method == "lanes" else "cpu"
    seconds = time.perf_counter() - began
    made = {"algorithm": ALGORITHM, "jax": jax.__version__, "method": method, "device": device}
    return {**told(found), **made, "seconds": seconds}


def told(found: "Calibration") -> dict[str, Any]:
    """The counts, the verdict, the findings and a row for each quantity, to four digits."""
    rows = [
        {k: float(f"{v:.4g}") if isinstance(v, float) else v for k, v in row.items()} for row in found.rows()
    ]
    return {
        "replicates": len(found),
        "counts": found.counts,
        "verdict": found.verdict,
        "uneven": {name: float(f"{p:.2g}") for name, p in found.uneven.items()},
        "findings": [str(finding) for finding in found.findings],
        "quantities": rows,
    }


def main() -> None:
    """Calibrate, print a line for each study, and write the table."""
    import jax

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--replicates", type=int, default=1024)
    parser.add_argument("--method", choices=("nuts", "lanes"), default="nuts")
    parser.add_argument("--only", nargs="*", help="names of studies")
    parser.add_argument("--folder", type=Path, help="where studies are kept, so that they can be resumed")
    given = parser.parse_args()
    asked = dict(studies())
    if unknown := [name for name in given.only or () if name not in asked]:
        raise SystemExit(f"there is no study {unknown[0]!r}; there are {', '.join(asked)}")
    results = record.header("python benchmarks/calibration.py --replicates 1024")
    kept = record.read("calibration").get("studies", {})
    for name in given.only or asked:
        jax.clear_caches()
        one = measure(name, asked[name], given.replicates, given.folder, given.method)
        kept[name] = one
        worst = min(one["quantities"], key=lambda row: row["evenness"])
        low, high = (f([row["cover90"] for row in one["quantities"]]) for f in (min, max))
        print(
            f"{name}: {one['verdict']}; least even {worst['quantity']} ({worst['evenness']:.3f}), "
            f"90% intervals held {low:.1%} to {high:.1%} ({one['seconds']:.0f} s)",
            flush=True,
        )
        results["studies"] = {n: kept[n] for n in asked if n in kept}
        record.write("calibration", results)


if __name__ == "__main__":
    main()
