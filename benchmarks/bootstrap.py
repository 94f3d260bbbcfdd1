"""What a bootstrap of a point fit costs, and how often it ends at the best minimum: ours, and peers side by side.

The 240 Chinchilla points and, for all, the replicates of Besiroglu et al. 2024. Everything is held to one core, and
times of refits are CPU time without compilation.

- Refits: ours by problem and precision, with the making of records; and with the drawing of weights besides.
- Peers: the loop of the public notebook, one start, as it is and with a gradient written in NumPy, which favours it;
  and SciPy's least squares as well as it can be written, from the fit of the table.
- Reliability: how many replicates are within 1e-6 of the best that anyone finds, 32 starts of ours included.
- Whole processes: from start to exit with quantiles, with a cold and a warm cache of compiled code.
- With --million, that many refits in a folder, or --replicates, from start to exit with quantiles.
- With --part, nothing but that part; what the others found before is kept, each beside its command.
- With --sizes, instead of all that: refits per second on the device that JAX finds, by the size of the batch.

    PYTHONPATH=where/autograd/is python benchmarks/bootstrap.py --rounds 3 --million
    python benchmarks/bootstrap.py --part studies --replicates 10000000
    python benchmarks/bootstrap.py --sizes 10000,100000,1000000
"""

import argparse
import dataclasses
import os
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import bootstrap_ours as own
import bootstrap_peers as peers
import numpy as np
import record
from nuts import DATA, read, spread

PROBLEMS = {
    "chinchilla": "Chinchilla law, Huber",
    "autodiff": "the same, by automatic differentiation",
    "coupled": "coupled, Huber",
    "kaplan_floor": "kaplan_floor, Huber",
    "broken_power": "broken_power along C, Huber",
    "student_t": "Chinchilla law, Student t",
}
PEERS: dict[str, Callable[[peers.Points], peers.Peer]] = {
    "notebook": peers.bfgs_autograd,
    "bfgs": peers.bfgs,
    "least_squares": peers.least_squares,
}
LABELS = PROBLEMS | {
    "notebook": "notebook: BFGS, autograd",
    "bfgs": "notebook, gradient in NumPy",
    "least_squares": "SciPy's least squares",
}
MOST = {"chinchilla": 40, "autodiff": 150}  # us of a refit that we hope for
LEAST = {"notebook": 400, "least_squares": 25}  # times as fast that we hope to be
HOW = ("mixed", "float64", "drawn too")
FEW = {
    "broken_power": 1024
}  # refits at most: in many replicates no run is past the break, and they take all steps
NEAR = 1e-6  # of the best objective: as good
TAKEN = "wall", "cpu", "import", "compile", "refits", "quantiles", "memory"  # by processes: seconds, and MiB


def counts(drawn: np.ndarray) -> np.ndarray:
    """How often each run was drawn, (replicates, runs)."""
    return np.stack([np.bincount(one, minlength=one.size) for one in drawn]).astype(float)


def cpu(work: Callable[[], Any], refits: int) -> float:
    """CPU time of a refit, in us."""
    began = time.process_time()
    work()
    return (time.process_time() - began) / refits * 1e6


def refits(options: argparse.Namespace) -> dict[str, Any]:
    """CPU time of everyone's refits, and how often they end at the best minimum."""
    from bayescale import data
    from bayescale.blocks import BLOCK
    from bayescale.infer.replicates import UNFINISHED

    points = peers.Points(*read(data.path(DATA)))
    drawn = peers.published(max(options.fits, options.peers, options.searched), len(points.loss))
    weight = counts(drawn)
    few = {"weight": weight[: options.searched]}
    work: dict[tuple[str, str], tuple[Callable[[], Any], int]] = {}
    found: dict[str, dict[str, Any]] = {name: {} for name in LABELS}
    estimates = {}
    for name in PROBLEMS:
        mixed = own.ours(name)
        exact = dataclasses.replace(mixed, mixed=False)
        count = min(options.fits, FEW.get(name, options.fits))
        some, blocks = {"weight": weight[:count]}, range(-(-count // BLOCK))
        found[name]["fits"] = count
        for how, job in (("mixed", mixed), ("float64", exact)):
            work[name, how] = lambda job=job, some=some: job.changed(some), count
            unfinished = job.changed(some)["state"] == UNFINISHED  # and compiles
            found[name][f"unfinished, {how}"] = float(unfinished.mean())
        work[name, "drawn too"] = lambda job=mixed, n=blocks: [job((k,)) for k in n], len(blocks) * BLOCK
        if name == "chinchilla":
            for how, job in (("mixed", mixed), ("float64", exact)):
                estimates[f"ours, {how}"] = own.natural(job, job.changed(few))
            estimates[f"{own.STARTS} starts"] = own.searched(exact, few["weight"])
        print(f"compiled: {LABELS[name]}", flush=True)
    for name, peer in PEERS.items():
        if name == "notebook" and find_spec("autograd") is None:
            print("the notebook as it is is left out: no autograd (pip install autograd)")
            continue
        fit = peer(points)
        work[name, "float64"] = lambda fit=fit: [fit(one) for one in drawn[: options.peers]], options.peers
        if name != "notebook":  # its minima are those of the same gradient in NumPy, and take far longer
            estimates[name] = np.stack([fit(one) for one in drawn[: options.searched]])
    times: dict[tuple[str, str], list[float]] = {which: [] for which in work}
    for _ in range(options.rounds):
        for which, (one, count) in work.items():
            times[which].append(cpu(one, count))
    for (name, how), each in times.items():
        found[name][how] = spread(each)
    objectives = {
        name: peers.objective(one, points, drawn[: options.searched]) for name, one in estimates.items()
    }
    found = {name: one for name, one in found.items() if one}
    return {"refits_us": found, "reliability": reliability(objectives), "ratios": ratios(found)}


def reliability(objectives: dict[str, np.ndarray]) -> dict[str, Any]:
    """How many of each contender's objectives, (replicates,), are as good as the best of all, and how near they are."""
    best = np.min(list(objectives.values()), axis=0)
    found: dict[str, Any] = {}
    for name, values in objectives.items():
        gap = values / best - 1
        near = gap <= NEAR
        found[name] = {
            "share": float(near.mean()),
            "of": len(gap),
            "median_gap_of_these": float(f"{np.median(gap[near]):.2g}") if near.any() else None,
            "worst_gap": float(f"{gap.max():.2g}"),
        }
    return found


def ratios(found: dict[str, Any]) -> dict[str, dict[str, float]]:
    """How many times as fast as each peer the refits of the Chinchilla law are, by medians."""
    there = [name for name in PEERS if name in found]
    ours = found["chinchilla"]
    return {how: {p: float(f"{found[p]['float64'][0] / ours[how][0]:.3g}") for p in there} for how in HOW}


def processes(options: argparse.Namespace) -> dict[str, Any]:
    """Whole processes, cold and warm."""
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as temporary:
        for name in ("chinchilla", "autodiff"):
            told: dict[str, list[dict[str, Any]]] = {"cold": [], "warm": []}
            for turn in range(options.rounds):
                for state, each in told.items():
                    each.append(own.process(name, options.fits, Path(temporary) / f"{name}_{turn}"))
                    print(f"{LABELS[name]}, {state} process: {each[-1]['wall']:.1f} s", flush=True)
            found[name] = {
                state: {part: spread([one[part] for one in each]) for part in TAKEN}
                for state, each in told.items()
            }
    return {"processes": found}


def studies(options: argparse.Namespace) -> dict[str, Any]:
    """One study of many replicates in a folder, compiled before, and what it takes of time, memory and disk."""
    with tempfile.TemporaryDirectory() as temporary:
        cache, folder = Path(temporary) / "cache", Path(temporary) / "study"
        own.process("chinchilla", options.fits, cache)
        once = own.process("chinchilla", options.replicates, cache, folder)
    at = {name: [float(f"{value:.5g}") for value in values] for name, values in once["quantiles_at"].items()}
    measured = {part: float(f"{once[part]:.4g}") for part in (*TAKEN, "disk")}
    found = {"command": options.command, "unfinished": once["unfinished"]} | measured | {"quantiles_at": at}
    return {"studies": record.read("bootstrap").get("studies", {}) | {str(options.replicates): found}}


# Whole processes first: on Linux a child's peak memory counts what this process has when it starts it.
PARTS: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    "processes": processes,
    "studies": studies,
    "refits": refits,
}


def number(value: float) -> str:
    """Four digits, and no exponent where there are more."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"


def cell(values: list[float]) -> str:
    """Median, least and greatest, as a table has them."""
    return "{} ({}-{})".format(*map(number, values))


def show(results: dict[str, Any]) -> None:
    """The tables."""
    print(f"\n{'CPU time of a refit (us)':40}" + "".join(f"{how:>25}" for how in HOW) + "  unfinished")
    for name, found in results["refits_us"].items():
        cells = "".join(f"{cell(found[how]) if how in found else '':>25}" for how in HOW)
        unfinished = f"{found['unfinished, mixed']:>12.2%}" if name in PROBLEMS else ""
        print(
            f"{LABELS[name]:40}{cells}{unfinished}" + (f"  hoped for: {MOST[name]}" if name in MOST else "")
        )
    print("\ntimes as fast as a peer")
    for how, better in results["ratios"].items():
        hoped = {name: f" (hoped for: {LEAST[name]})" if name in LEAST else "" for name in better}
        print(f"{how:12}" + "; ".join(f"{LABELS[p]} {times:g}{hoped[p]}" for p, times in better.items()))
    print(
        f"\n{f'replicates within {NEAR:g} of the best':40}{'share':>10}{'median gap of these':>22}{'worst gap':>12}"
    )
    for name, told in results["reliability"].items():
        gaps = f"{told['median_gap_of_these']!s:>22}{told['worst_gap']:>12}"
        print(f"{LABELS.get(name, name):40}{told['share']:>10.2%}{gaps}   of {told['of']:,}")
    title = f"whole processes, {results['fits']:,} refits (s, MiB)"
    print(f"\n{title:45}{TAKEN[0]:>22}" + "".join(f"{part:>11}" for part in TAKEN[1:]))
    for name, states in results["processes"].items():
        for state, told in states.items():
            rest = "".join(f"{number(told[part][0]):>11}" for part in TAKEN[1:])
            print(f"{LABELS[name]:40}{state:5}{cell(told[TAKEN[0]]):>22}{rest}")
    for replicates, one in results.get("studies", {}).items():
        print(f"{int(replicates):,} in a folder, of {one['disk']:g} MB".ljust(45), end="")
        print(f"{number(one['wall']):>22}" + "".join(f"{number(one[p]):>11}" for p in TAKEN[1:]))
        for name, values in one["quantiles_at"].items():
            print(f"    {name:41}" + "".join(f"{value:>11g}" for value in values))


def sizes(options: argparse.Namespace) -> dict[str, Any]:
    """Refits per second on the device at hand, by the size of the batch."""
    import jax

    devices = f"{len(jax.devices())} {jax.devices()[0].device_kind} ({jax.devices()[0].platform})"
    print(
        f"refits per second of wall clock on {devices}\n"
        + "".join(f"{h:>26}" for h in ("size", *HOW[:2], "in blocks"))
    )
    found, job = {}, own.ours("chinchilla")
    for size in map(int, options.sizes.split(",")):
        found[size] = own.speeds(job, size, options.rounds)
        print(f"{size:>26,}" + "".join(f"{cell(values):>26}" for values in found[size].values()), flush=True)
    return {"device": devices, "refits_per_second": found}


def main() -> None:
    """Measures, prints and writes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--fits", type=int, default=4096, help="refits of ours in each round")
    parser.add_argument("--peers", type=int, default=100, help="refits of each peer in each round")
    parser.add_argument(
        "--searched", type=int, default=1000, help="replicates whose best minimum is searched for"
    )
    parser.add_argument("--million", action="store_true", help="and --replicates refits in a folder")
    parser.add_argument("--replicates", type=int, default=1_000_000)
    parser.add_argument("--part", choices=PARTS, help="nothing but this")
    parser.add_argument("--sizes", help="sizes of batches, as 10000,100000, and nothing else")
    options = parser.parse_args()

    from bayescale import data

    try:
        data.path(DATA)
    except FileNotFoundError as error:
        sys.exit(f"benchmarks/bootstrap.py: {error}; or say where it lies with BAYESCALE_DATA")
    options.command = " ".join(["python benchmarks/bootstrap.py", *sys.argv[1:]])
    header = record.header(options.command) | {"values": "median, least, greatest", "rounds": options.rounds}
    if options.sizes:
        print(f"written to {record.write('bootstrap_sizes', header | sizes(options))}")
        return
    os.environ["JAX_PLATFORMS"] = "cpu"
    if hasattr(os, "sched_setaffinity"):  # before JAX begins as many threads as there are cores
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    else:
        print("this system holds no process to a core; CPU time counts what threads do while they wait")
    header["versions"] |= {"scipy": version("scipy")}
    header |= {"fits": options.fits, "fits_of_peers": options.peers}
    wanted = [options.part] if options.part else [p for p in PARTS if p != "studies" or options.million]
    results = record.read("bootstrap")
    if not options.part:  # a long study is worth keeping beside all that is new
        results = header | {"commands": {}, "studies": results.get("studies", {})}
    for part in wanted:
        results |= PARTS[part](options)
        if part != "studies":
            results["commands"][part] = options.command
    file = record.write("bootstrap", results)
    show(results)
    print(f"written to {file}")


if __name__ == "__main__":
    main()
