"""Time horizons of METR's runs of February 2025, and what families of tasks do to them.

Eight models since GPT-4 at 83 tasks of 36 families. Each law is fitted three times: with families of tasks and what an
agent is at a family, with tasks as if they were independent, and with all tasks of one length as if they were alike,
which is what a logistic curve for each model takes them for. Horizons are over tasks taken at random, in minutes.

It takes up where it was stopped.

    python benchmarks/horizons.py
"""

import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import record
from overlap import AGENTS, METR, SAMPLER, health

if TYPE_CHECKING:
    from bayescale.runs import Runs

LAWS = ("time_horizon", "time_horizon_break", "time_survival")
SHARED = {
    "families": {"family": "family"},
    "independent tasks": {},
    "tasks alike": {"task": None},
}


def table() -> "Runs":
    """The counts of eight models at 83 tasks."""
    from bayescale import data

    names = {"date": "release_date", "minutes": "human_minutes", "task": "task_id", "family": "task_family"}
    return data.load(METR, where=AGENTS, names=names, factors=["agent", "task", "family"])


def study(runs: "Runs", law: str, shared: dict[str, Any]) -> dict[str, Any]:
    """Horizons by model and the time in which they double, with 90% intervals."""
    import jax

    from bayescale.infer.nuts import nuts
    from bayescale.tasks.horizons import horizon_items, horizons

    fit = nuts(jax.random.key(0), *horizon_items(runs, law=law, **shared), **SAMPLER, chains=2)
    told = horizons(fit, dates=(2026.0,))
    digits = {
        row["quantity"]: [float(f"{row[k]:.3g}") for k in ("low", "median", "high")] for row in told.rows()
    }
    return digits | health(fit)


def widths(found: dict[str, Any]) -> dict[str, float]:
    """How many doublings the 90% intervals of horizons have, on average over models; and of the doubling time."""

    def doublings(ends: list[float]) -> float:
        return float(np.log2(ends[2] / ends[0]))

    half = [doublings(v) for k, v in found.items() if k.endswith("at 50%") and not k.startswith("2026")]
    four = [doublings(v) for k, v in found.items() if k.endswith("at 80%") and not k.startswith("2026")]
    told = {"50%": float(np.mean(half)), "80%": float(np.mean(four))}
    told |= {name: doublings(found[name]) for name in ("doubling", "before", "after") if name in found}
    return {name: round(value, 2) for name, value in told.items()}


def main() -> None:
    """Do all, print what came out and write it."""
    from bayescale import data

    try:
        data.path(METR)
    except FileNotFoundError as error:
        sys.exit(f"benchmarks/horizons.py: {error}; or say where it lies with BAYESCALE_DATA")
    results: dict[str, Any] = record.header("python benchmarks/horizons.py")
    results |= {"values": "5%, 50% and 95%, in minutes or days", "laws": {}, "widths": {}}
    before, runs = record.read("horizons").get("laws", {}), table()
    for law in LAWS:
        results["laws"][law] = before.get(law) or {
            name: study(runs, law, shared) for name, shared in SHARED.items()
        }
        results["widths"][law] = {name: widths(found) for name, found in results["laws"][law].items()}
        print(law, results["laws"][law], results["widths"][law], sep="\n", flush=True)
        record.write("horizons", results)
    print(f"written to {record.write('horizons', results)}")


if __name__ == "__main__":
    main()
