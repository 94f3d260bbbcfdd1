"""Evidence: how far each estimator is from the truth, what it takes, and how the work grows; with two peers.

Log-linear laws whose evidence is known in closed form, and laws on the 245 Chinchilla points whose evidence is known
from long runs elsewhere. Bridge sampling, importance sampling and sequential Monte Carlo are ours; dynesty and nautilus
sample the same models by nested sampling. Everything is held to one core, and times are processor time without
compilation. The time of NUTS, whose draws bridge sampling needs and whose mode all of ours begin at, is told apart.

- accuracy: every estimator on every model, by the seed; dynesty on laws of up to 7 parameters, nautilus on those of 2
  and more among them.
- processes: the comparison of eight laws on the 240 points, as whole processes, with a cold and a warm cache of
  compiled code, and how the time grows with the laws.
- growth: with runs, with draws, and with particles.

Each part, and with --model each model, is written beside what others have written before.

    python benchmarks/evidence.py --rounds 3
    python benchmarks/evidence.py --part accuracy --model 'linear, 2'
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import evidence_ours as own
import evidence_peers as peers
import evidence_truths as truths
import record
from nuts import spread

SIZES = (1, 2, 5, 20)  # parameters of the linear laws
MOST = 7  # parameters of what nested sampling is asked
LEAST = {"dynesty": 1, "nautilus": 2}  # parameters that each can do with
RUNS, DRAWS, PARTICLES = (60, 240, 960), (250, 500, 1000, 2000, 4000), (100, 400, 1600)
LABELS = {
    "bridge": "bridge sampling",
    "importance": "importance sampling",
    "tempered": "sequential Monte Carlo",
    "dynesty": "dynesty",
    "nautilus": "nautilus",
}


def accuracy(folder: Path, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Estimates, errors and processor time of every estimator, by model; told after each."""
    found: dict[str, Any] = {"rounds": options.rounds, "models": {}}
    for name, (model, runs, truth) in truths.cases(folder, SIZES).items():
        if options.model not in (None, name):
            continue
        each: dict[str, list[dict[str, Any]]] = {}
        own.measure(0, model, runs, third=False)  # compiles
        own.compiled_third(model, runs)
        for seed in range(1, 1 + options.rounds):
            told = own.measure(seed, model, runs, third=True)
            for peer in asked(len(model.priors)):
                told[peer] = peers.PEERS[peer](seed, model, runs)._asdict()
            for estimator, one in told.items():
                each.setdefault(estimator, []).append(one)
        trouble = [why for one in each.pop("trouble") for why in one["said"]]
        nuts = each.pop("nuts")
        found["models"][name] = {
            "parameters": len(model.priors),
            "truth": round(truth, 3),
            "nuts_seconds": spread([one["seconds"] for one in nuts]),
            "nuts_gradients": spread([one["evaluations"] for one in nuts]),
            "trouble": trouble,
            "estimators": {one: summary(told, truth) for one, told in each.items()},
        }
        show_model(name, found["models"][name])
        yield found


def asked(size: int) -> list[str]:
    """The peers that are asked about so many parameters."""
    there = [name for name in peers.PEERS if name not in peers.missing()]
    return [name for name in there if LEAST[name] <= size <= MOST]


def summary(told: list[dict[str, Any]], truth: float) -> dict[str, Any]:
    """What the rounds of one estimator say: how far off they were, what they said of it, and what they took."""
    shown = {
        "off": [round(one["value"] - truth, 4) for one in told],
        "error": [float(f"{one['error']:.2g}") for one in told],
        "seconds": spread([one["seconds"] for one in told]),
    }
    if "evaluations" in told[0]:
        shown["evaluations"] = spread([one["evaluations"] for one in told])
    return shown


def show_model(name: str, one: dict[str, Any]) -> None:
    """The rows of one model."""
    print(f"{name}, {one['parameters']} parameters; NUTS {one['nuts_seconds'][0]:g} s", *one["trouble"])
    for estimator, told in one["estimators"].items():
        off = ", ".join(f"{o:+.4f} ({e:g})" for o, e in zip(told["off"], told["error"], strict=True))
        print(f"    {LABELS[estimator]:24}{told['seconds'][0]:>9g} s   off by {off}", flush=True)


def processes(_: Path, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Whole comparisons, cold and warm."""
    told: dict[str, list[dict[str, Any]]] = {"cold": [], "warm": []}
    with tempfile.TemporaryDirectory() as temporary:
        for turn in range(options.processes):
            for state, each in told.items():
                each.append(own.process(Path(temporary) / str(turn)))
                print(
                    f"{state} process: {each[-1]['wall']:.1f} s, {each[-1]['cpu']:.1f} s of a core",
                    flush=True,
                )
    found: dict[str, Any] = {"rounds": options.processes, "laws": told["cold"][0]["laws"]}
    for state, each in told.items():
        parts = ("wall", "cpu", "import", "compile", "memory")
        found[state] = {part: spread([one[part] for one in each]) for part in parts}
        found[state]["cpu_after_laws"] = each[-1]["cpu_after_laws"]
    yield found | {name: told["warm"][-1][name] for name in ("verdict", "values")}


def growth(folder: Path, _: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """How the work grows with runs, draws and particles."""
    from laws import model

    law = model("chinchilla")
    few, runs, truth = truths.cases(folder, (2,))["linear, 2"]
    found = {"runs": own.by_runs(law, RUNS), "draws": own.by_draws(few, runs, DRAWS)}
    found["particles"] = own.by_particles(few, runs, truth, PARTICLES)
    for by, rows in found.items():
        for row in rows:
            print(f"{by}: " + ", ".join(f"{name} {value:g}" for name, value in row.items()), flush=True)
    yield found


PARTS: dict[str, Callable[[Path, argparse.Namespace], Iterator[dict[str, Any]]]] = {
    "accuracy": accuracy,
    "processes": processes,
    "growth": growth,
}


def main() -> None:
    """Measures, prints and writes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3, help="seeds of every estimator")
    parser.add_argument("--processes", type=int, default=1, help="comparisons with either cache")
    parser.add_argument("--part", choices=PARTS, help="nothing but this")
    parser.add_argument("--model", help="of the accuracy, nothing but this")
    options = parser.parse_args()

    from bayescale import data

    try:
        folder = data.path("besiroglu2024_chinchilla").parent
    except FileNotFoundError as error:
        sys.exit(f"benchmarks/evidence.py: {error}; or say where it lies with BAYESCALE_DATA")
    for name, package in peers.missing().items():
        print(f"{name} is left out; pip install {package}")
    os.environ["JAX_PLATFORMS"] = "cpu"
    if hasattr(os, "sched_setaffinity"):  # before JAX begins as many threads as there are cores
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    else:
        print("this system holds no process to a core; processor time counts what threads do while they wait")
    command = f"python benchmarks/evidence.py --rounds {options.rounds} --processes {options.processes}"
    header = record.header(command)
    header["versions"] |= {p: version(p) for n, p in peers.PACKAGES.items() if n not in peers.missing()}
    before = record.RESULTS / "evidence.json"
    results = json.loads(before.read_text(encoding="utf-8")) if before.exists() else {}
    results["values"] = "of times: median, least, greatest; of estimates: nats, one of each round"
    for name, part in PARTS.items():
        if options.part in (None, name):
            for found in part(folder, options):
                if options.model:
                    found["models"] = results.get(name, {}).get("models", {}) | found["models"]
                results[name] = header | found
                print(f"{name} written to {record.write('evidence', results)}", flush=True)


if __name__ == "__main__":
    main()
