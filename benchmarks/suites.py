"""Whether posteriors of suites of tasks hold the truth as often as they say: item response and time horizons.

Suites whose parameters, thresholds and shocks are drawn from the priors of the default models, each fitted by NUTS: 8
models at 24 tasks in 6 families. The laws themselves, of a table without tasks, are in calibration.py.

Of the first 64 suites of item response the ranks of rho were called uneven (p = .0003 and .003, at two times); of the
96 after them alone they are even (p = .47), and that is why there are 160 of those.

    python benchmarks/suites.py

A study that was interrupted goes on with --folder. With --only, those named are measured and the others stay.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import record
from calibration import told

if TYPE_CHECKING:
    from bayescale.fit import Fit
    from bayescale.tasks.items import Items

MODELS, TASKS, FAMILIES, LABS = 8, 24, 6, 4
SAMPLER = {"chains": 2, "draws": 300, "warmup": 250, "target": 0.9}


def table(tries: int) -> "dict[str, Any]":
    """Who tried what how often; successes do not matter."""
    model, task = (index.ravel() for index in np.indices((MODELS, TASKS)))
    minutes = 2 ** np.random.default_rng(0).uniform(0, 9, TASKS)
    return {
        "C": 10 ** np.linspace(19, 23, MODELS)[model],
        "date": np.linspace(2023, 2025.5, MODELS)[model],
        "minutes": minutes[task],
        "successes": np.full(len(model), tries // 2),
        "trials": np.full(len(model), tries),
        "model": [f"m{i}" for i in model],
        "lab": [f"l{i % LABS}" for i in model],
        "task": [f"t{i}" for i in task],
        "family": [f"f{i % FAMILIES}" for i in task],
    }


def item_response(tries: int, lab: str | None = None) -> "Items":
    """The default model of thresholds on compute."""
    from bayescale.runs import Runs
    from bayescale.tasks import items

    columns = {name: values for name, values in table(tries).items() if name not in ("date", "minutes")}
    runs = Runs.make(columns, factors=["model", "lab", "task", "family"])
    return items.item_response(runs, family="family", lab=lab)


def horizons(law: str) -> "Items":
    """The default model of the length of tasks."""
    from bayescale.runs import Runs
    from bayescale.tasks.horizons import horizon_items

    columns = {name: values for name, values in table(4).items() if name != "C"}
    runs = Runs.make(columns, factors=["model", "task", "family"])
    return horizon_items(runs, law=law, agent="model", family="family")


def spread(of: str) -> Callable[["Fit"], np.ndarray]:
    """The standard deviation of thresholds or horizons of tasks, in decades."""
    return lambda fit: np.hypot(*(fit.flat(f"{of}_by_{by}_scale") for by in ("family", "task"))) / np.log(10)


def rho(of: str) -> Callable[["Fit"], np.ndarray]:
    """The share of its square that families have."""
    return lambda fit: (fit.flat(f"{of}_by_family_scale") / np.log(10) / spread(of)(fit)) ** 2


# Name -> the model with its table, and what thresholds are called in it.
STUDIES: dict[str, tuple[Callable[[], "Items"], str]] = {
    "item response, 4 tries": (lambda: item_response(4), "threshold"),
    "item response, 32 tries": (lambda: item_response(32), "threshold"),
    "item response, families of models": (lambda: item_response(4, "lab"), "threshold"),
    "time_horizon": (lambda: horizons("time_horizon"), "horizon"),
}


REPLICATES = dict.fromkeys(STUDIES, 64) | {"item response, 4 tries": 160}


def measure(name: str, replicates: int, folder: Path | None) -> dict[str, Any]:
    """One study, and what is kept of it."""
    import jax

    from bayescale.check.calibration import calibrate

    make, of = STUDIES[name]
    items, began = make(), time.perf_counter()
    found = calibrate(
        jax.random.key(0),
        items.model,
        items.runs,
        replicates=replicates,
        quantities={"spread": spread(of), "rho": rho(of)},
        folder=folder / name if folder else None,
        resume=True,
        report=lambda done, all_of: print(f"{name}: {done} of {all_of} blocks", flush=True),
        **SAMPLER,
    )
    return {**told(found), "seconds": round(time.perf_counter() - began)}


def main() -> None:
    """Calibrate, print a line for each quantity, and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--replicates", type=int, help="suites of each kind; 16 make a block")
    parser.add_argument("--only", nargs="*", choices=STUDIES, help="names of studies")
    parser.add_argument("--folder", type=Path, help="where studies are kept, so that they can be resumed")
    given = parser.parse_args()
    results = record.header("python benchmarks/suites.py")
    results |= {"models": MODELS, "tasks": TASKS, "families": FAMILIES, "sampler": SAMPLER}
    results["studies"] = record.read("suites").get("studies", {})
    for name in given.only or STUDIES:
        one = results["studies"][name] = measure(name, given.replicates or REPLICATES[name], given.folder)
        print(f"{name}: {one['verdict']}; {one['counts']}; {one['seconds']} s")
        for row in one["quantities"]:
            ends = f"{row['cover90_low']:.3f} to {row['cover90_high']:.3f}"
            print(
                f"  {row['quantity']:32} 90% intervals held {row['cover90']:.3f} ({ends})  even {row['evenness']}"
            )
        record.write("suites", results)
    print(f"written to {record.write('suites', results)}")


if __name__ == "__main__":
    main()
