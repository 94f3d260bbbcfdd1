"""What the tasks of two public suites share, against the numbers known of them, and what it is worth in forecasts.

- METR, the runs of February 2025: 8 models at 83 tasks of 36 families. What families of tasks have of the variance of
  difficulty at one human time, and the independent tasks that 83 are worth.
- GSM8K: 32 Pythia checkpoints, of 70M parameters and 20B tokens or more, at 128 problems, each tried 128 to 60,000
  times. Thresholds in decades of compute, and the share of what a checkpoint is beyond its compute that all problems
  have, with slopes that differ by problem, which is the default, and with one slope; the same by the plain model of
  `overlap_peer.py`. Both also of at most 512 tries of each problem, which give what is known.
- Forecasts of the pass rate of later checkpoints, from those up to 1e21 FLOP, with the shock that all problems of a
  checkpoint share and without it: how many of the 90% intervals hold what came.

It takes up where it was stopped.

    python benchmarks/overlap.py
"""

import sys
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import overlap_peer
import record

if TYPE_CHECKING:
    from bayescale.fit import Fit
    from bayescale.runs import Runs

ONE_SLOPE = "gsm8k, one slope"  # which is the model of the known numbers
METR, GSM8K = "metr2025_tasks", "monkeys2025_gsm8k"
AGENTS = "agent != human, agent != davinci-002, agent != gpt-3.5-turbo-instruct"
CUTS = (1e21, 3e20, 3e21)  # that of the acceptance check first
SAMPLER: dict[str, Any] = {"draws": 500, "warmup": 300, "target": 0.9, "retry": False}
SHORTER: dict[str, Any] = SAMPLER | {"draws": 300}  # of 4,096 counts, which take 30 gradients a draw
LONGER: dict[str, Any] = SAMPLER | {"draws": 1000, "warmup": 600}  # where an acceptance check hangs on it
# What is known, and how far from it counts as found: tasks.md of the project, acceptance check A6.
KNOWN = {"rho": (0.46, 0.06), "effective": (46.6, 4.0), "shared": (0.69, 0.04), "spread": (1.70, 0.2)}


def metr() -> dict[str, Any]:
    """What families of METR's tasks share."""
    import jax

    from bayescale import data
    from bayescale.infer.nuts import nuts
    from bayescale.tasks.companions import effective_tasks
    from bayescale.tasks.horizons import horizon_items
    from bayescale.tasks.suite import of_tasks

    names = {"date": "release_date", "minutes": "human_minutes", "task": "task_id", "family": "task_family"}
    runs = data.load(METR, where=AGENTS, names=names, factors=["agent", "task", "family"])
    items = horizon_items(runs, family="family")
    fit = nuts(jax.random.key(0), *items, **SAMPLER)
    family, task = (fit.flat(f"horizon_by_{by}_scale") for by in ("family", "task"))
    rho = family**2 / (family**2 + task**2)
    index = of_tasks(items.runs, "family", "task")
    assert index is not None
    logits = fit.flat("slope") / np.log(2)
    found = {
        "rho": spread(rho),
        "effective": spread(effective_tasks(rho, np.bincount(index))),
        "family, logits": spread(family * logits),
        "task, logits": spread(task * logits),
        "family of one model, logits": spread(fit.flat("agent:family_effect_scale")),
        "task of one model, logits": spread(fit.flat("scatter")),
        "difficulty, doublings": spread(np.hypot(family, task) / np.log(2)),
    }
    return {"tasks": len(index), "families": int(index.max()) + 1, **found, **health(fit)}


def checkpoints() -> "Runs":
    """The counts of 32 checkpoints at 128 problems."""
    from bayescale import data

    where = "params >= 7e7, tokens >= 2e10"
    runs = data.load(GSM8K, where=where, factors=["task", "model"], names={"task": "problem"})
    problem = np.asarray(runs.factors["task"])
    often = np.bincount(problem) == len(
        runs.levels["model"]
    )  # a few checkpoints were tried at others as well
    return runs.subset(often[problem])


def gsm8k(runs: "Runs", *, slopes: bool) -> dict[str, Any]:
    """What the problems of GSM8K share, with slopes that differ by problem or with one."""
    import jax

    from bayescale.infer.nuts import nuts
    from bayescale.tasks.companions import companions

    fit = nuts(jax.random.key(1), *items_of(runs, slopes=slopes), **SHORTER)
    told = companions(fit)
    quantities = ("spread", "slope", "suite width", "model shock", "shared", "dimensions", "unresolved")
    found: dict[str, Any] = {quantity: spread(told[quantity]) for quantity in quantities}
    found |= {"checkpoints": len(runs.levels["model"]), "problems": len(runs.levels["task"])}
    return found | {"problem of one checkpoint, logits": spread(fit.flat("scatter"))} | health(fit)


def items_of(runs: "Runs", *, slopes: bool = True, shock: bool = True):
    """The default model; with one slope for all problems; without a shock that all problems of a checkpoint share."""
    from bayescale.tasks.items import item_response

    items = item_response(runs)
    pooling = [
        p for p in items.model.pooling if (slopes or p.vary != ("slope",)) and (shock or p.by != "model")
    ]
    return items._replace(model=items.model.replace(pooling=tuple(pooling)))


def forecasts(runs: "Runs", cut: float, *, shock: bool) -> dict[str, Any]:
    """Forecasts of the later checkpoints, with the shock or without it."""
    import jax

    from bayescale.infer.nuts import nuts
    from bayescale.tasks.suite import new_models

    C, index = np.asarray(runs.columns["C"]), np.asarray(runs.factors["model"])
    tries, won = np.asarray(runs.columns["trials"]), np.asarray(runs.response)
    before, rng = cut >= C, np.random.default_rng(0)
    later = [i for i in range(len(runs.levels["model"])) if C[index == i][0] > 1.5 * cut]
    items = items_of(runs.subset(before), shock=shock)
    fit = nuts(jax.random.key(2), *items, **(LONGER if cut == CUTS[0] else SHORTER))
    inside, off, width = [], [], []
    for i in later:
        rows = np.flatnonzero(index == i)
        order = [runs.levels["task"][t] for t in np.asarray(runs.factors["task"])[rows]]
        place = [items.runs.levels["task"].index(t) for t in order]
        new = new_models(jax.random.key(i), fit, {"C": float(C[rows[0]])}, models=1, draws=2000)
        p = new[:, 0, place]
        drawn = rng.binomial(tries[rows].astype(int), p) / tries[rows]
        log = np.log10(drawn.mean(axis=1) + 1e-9)
        low, middle, high = np.quantile(log, (0.05, 0.5, 0.95))
        truth = np.log10(np.mean(won[rows] / tries[rows]))
        inside.append(low <= truth <= high)
        off.append(middle - truth)
        width.append(high - low)
    values = {"covered_90": np.mean(inside), "error": np.mean(np.abs(off)), "bias": np.mean(off)}
    found = {k: round(float(v), 3) for k, v in values.items()} | {"width": round(float(np.mean(width)), 3)}
    return found | {"trained": int(np.unique(index[before]).size), "later": len(later)} | health(fit)


def spread(values: np.ndarray) -> list[float]:
    """Mean, 5% and 95%, of what is known."""
    values = values[np.isfinite(values)]
    return [round(float(v), 3) for v in (values.mean(), *np.quantile(values, (0.05, 0.95)))]


def health(fit: "Fit") -> dict[str, Any]:
    """How well a posterior was sampled."""
    worst = max(float(values[..., 0].max()) for values in fit.diagnostics.values())
    ess = min(float(values[..., 1:].min()) for values in fit.diagnostics.values())
    return {"r_hat": round(worst, 4), "ess": round(ess), "divergences": int(fit.stats["diverging"].sum())}


def main() -> None:
    """Do all, print what came out and write it."""
    from bayescale import data

    try:
        for name in (METR, GSM8K):
            data.path(name)
    except FileNotFoundError as error:
        sys.exit(f"benchmarks/overlap.py: {error}; or say where it lies with BAYESCALE_DATA")
    results: dict[str, Any] = record.header("python benchmarks/overlap.py")
    results |= {"values": "posterior mean, 5%, 95%", "known": {k: list(v) for k, v in KNOWN.items()}}
    before, runs = record.read("overlap"), checkpoints()
    some, of_some = overlap_peer.fewer(runs), f"of {overlap_peer.MOST} tries"
    parts = {
        "metr": metr,
        ONE_SLOPE: partial(gsm8k, runs, slopes=False),
        f"{ONE_SLOPE} {of_some}": partial(gsm8k, some, slopes=False),
        "gsm8k, slopes by problem": partial(gsm8k, runs, slopes=True),
        "gsm8k, the plain model": partial(overlap_peer.plain, runs),
        f"gsm8k, the plain model {of_some}": partial(overlap_peer.plain, some),
    }
    for cut in CUTS:
        for name, shock in (("with shock", True), ("without shock", False)):
            parts[f"forecasts beyond {cut:.0e} FLOP, {name}"] = partial(forecasts, runs, cut, shock=shock)
    for name, measured in parts.items():
        results[name] = before.get(name) or measured()
        print(f"{name}: {results[name]}", flush=True)
        record.write("overlap", results)
    got = {"rho": results["metr"]["rho"], "effective": results["metr"]["effective"]}
    got |= {k: results[f"{ONE_SLOPE} {of_some}"][k] for k in ("shared", "spread")}
    results["found"] = {k: bool(abs(got[k][0] - middle) <= most) for k, (middle, most) in KNOWN.items()}
    print(results["found"])
    print(f"written to {record.write('overlap', results)}")


if __name__ == "__main__":
    main()
