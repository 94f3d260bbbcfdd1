"""Where a law is wrong: coverage and bias of forecasts beyond the runs, and whether the tool notices.

Six truths (constants of papers, or close to them) and six laws that are fitted, on isoFLOP designs of 42 runs from 1e18
to 1e21 FLOP with noise of .5%, log-normal or Student-t with 3 degrees of freedom that the fit does not know of
(`--noise`). The forecast is the loss at 20 tokens for each parameter, one and two decades of compute beyond the runs,
without noise. A table in which the fit did not converge counts as noticed. Noticed also is any finding,
and evidence that puts another of the six laws 5 nats ahead of the law that was fitted; those of `kaplan_floor` and
`constant` are not among them. Besides, which law has the most evidence, and which the least CRPS in a back-test, in
which the 28 runs up to 6e19 FLOP predict the large ones; of a fit that did not converge it is not asked.

    python benchmarks/misfit.py --tables 40

With --only and --noise, those are simulated and the others stay as they are. With --folder, what each table says is
kept there, and a study that was interrupted goes on.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import record

if TYPE_CHECKING:
    from bayescale.fit import Fit
    from bayescale.runs import Runs

SIGMA, NU = 0.005, 3.0
AHEAD = (22.0, 23.0)  # log10 of FLOP
RATIO = 20.0
AHEAD_BY = 5.0  # nats
KNOWN = 24  # runs at least, those of the least compute, that a back-test fits
# The first as Besiroglu et al. 2024 found it; losses of the others are not far from it over these runs. `kaplan_floor`
# has the constants that come closest to it.
TRUTHS: dict[str, tuple[str, dict[str, float]]] = {
    "chinchilla": ("chinchilla", {"E": 1.82, "A": 482.0, "B": 2085.0, "alpha": 0.348, "beta": 0.366}),
    "chinchilla_tied": ("chinchilla_tied", {"E": 1.82, "A": 520.0, "B": 1500.0, "alpha": 0.353}),
    "kaplan_floor": ("kaplan_floor", {"E": 1.73, "A": 288.0, "B": 1690.0, "alpha": 0.296, "beta": 0.336}),
    "coupled": ("coupled", {"E": 1.75, "A": 300.0, "B": 1200.0, "alpha": 0.33, "beta": 0.35, "k": 0.8}),
    "power_floor": ("power_floor", {"E": 1.7, "A": 260.0, "alpha": 0.12}),
    "constant": ("constant", {"c": 2.6}),
}
NOISES = ("log_normal", "student_t")
FITTED = ("chinchilla", "chinchilla_tied", "kaplan", "coupled", "power_floor", "power")


def law(name: str) -> Any:
    """The law of that name, along C where it is one in one axis."""
    from bayescale import models
    from bayescale.law import AXIS

    one = models.load(name)
    return one.along("C") if AXIS in one.covariates else one


def table(truth: str, seed: int, noise: str) -> "tuple[Runs, np.ndarray]":
    """A table of that truth, and the loss at the two points ahead."""
    from bayescale import parallel
    from bayescale.check.simulate import simulate
    from bayescale.runs import Runs

    name, parameters = TRUTHS[truth]
    form = law(name)
    made = simulate(seed, form, truth=parameters, noise=noise, sigma=SIGMA, nu=NU)
    compute = 10.0 ** np.array(AHEAD)
    N = np.sqrt(compute / (6 * RATIO))
    points = {"N": N, "D": RATIO * N, "C": compute}
    with parallel.workbench():
        mean = np.broadcast_to(
            np.asarray(form({c: points[c] for c in form.covariates}, parameters)), (len(AHEAD),)
        )
    return Runs.make({k: made.columns[k] for k in ("N", "D", "C", "loss")}), mean


def one_fit(seed: int, name: str, runs: "Runs", truth: np.ndarray) -> dict[str, Any]:
    """What one fit says: forecasts, findings, evidence."""
    import jax

    from bayescale import noise
    from bayescale.check.of_refits import all_findings
    from bayescale.infer.evidence import log_evidence
    from bayescale.infer.nuts import nuts
    from bayescale.model import Model

    fit: Fit = nuts(jax.random.key(seed), Model(law(name), noise.log_normal, effects=()), runs, draws=500)
    compute = 10.0 ** np.array(AHEAD)
    N = np.sqrt(compute / (6 * RATIO))
    points = {"N": N, "D": RATIO * N, "C": compute}
    drawn = fit.predict({c: points[c] for c in fit.model.law.covariates})
    low, middle, high = np.quantile(drawn, (0.05, 0.5, 0.95), axis=0)
    found = sorted({one.code for one in all_findings(jax.random.key(seed), fit)})
    evidence = log_evidence(jax.random.key(seed), fit) if fit.converged else None
    return {
        "converged": fit.converged,
        "held": ((low <= truth) & (truth <= high)).tolist(),
        "bias": (np.log(middle / truth)).tolist(),
        "findings": found,
        "evidence": evidence.value if evidence is not None and not evidence.trouble else None,
    }


def tested(seed: int, runs: "Runs") -> dict[str, float | None]:
    """The mean CRPS of what the small runs say of the large ones, by each law; None where its fit did not converge."""
    import jax

    from bayescale import noise
    from bayescale.check.backtest import forecasts_of, of_folds
    from bayescale.check.folds import MARGIN, folds
    from bayescale.check.scores import crps
    from bayescale.model import Model

    (part,) = folds(runs, "C", KNOWN - MARGIN, 1)
    key, found = jax.random.key(seed), {}
    for name in FITTED:
        (fit,) = of_folds(key, Model(law(name), noise.log_normal, effects=()), runs, [part], draws=500)
        made = forecasts_of(key, fit, part, {})
        score = crps(made.quantiles, np.asarray(runs.response)[made.index])
        found[name] = float(np.mean(score)) if fit.converged else None
    return found


def kept(path: Path | None, settings: dict[str, Any], make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What is made of a table, or what is kept of it if it was made already."""
    from bayescale.settings import as_json, check_same

    settings = as_json(settings | {"versions": record.header("")["versions"]})
    if path and path.exists():
        held = json.loads(path.read_text(encoding="utf-8"))
        check_same(path, held["settings"], settings)
        return held["said"]
    said = make()
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        part.write_text(json.dumps({"settings": settings, "said": said}), encoding="utf-8")
        part.replace(path)
    return said


def said_of(truth: str, seed: int, noise: str, folder: Path | None) -> dict[str, dict[str, Any]]:
    """What the fit of each law says of a table of a truth, and how it fared in the back-test."""
    path = folder / f"{truth}-{noise}-{seed}.json" if folder else None
    begun = {
        "truth": TRUTHS[truth],
        "fitted": FITTED,
        "sigma": SIGMA,
        "nu": NU,
        "ahead": AHEAD,
        "ratio": RATIO,
    }
    runs, ahead = table(truth, seed, noise)
    said = kept(path, begun, lambda: {name: one_fit(seed, name, runs, ahead) for name in FITTED})
    path = path.with_suffix(".backtest.json") if path else None
    scores = kept(path, begun | {"known": KNOWN}, lambda: tested(seed, runs))
    return {name: one | {"crps": scores[name]} for name, one in said.items()}


def cell(truth: str, fitted: str, tables: list[dict[str, dict[str, Any]]]) -> dict[str, Any]:
    """What the tables of one truth say of one fitted law."""
    every = [one[fitted] for one in tables]
    best = [
        max(
            (one[o]["evidence"] for o in FITTED if o != fitted and one[o]["evidence"] is not None),
            default=None,
        )
        for one in tables
    ]
    behind = [
        None if one["evidence"] is None or other is None else other - one["evidence"]
        for one, other in zip(every, best, strict=True)
    ]
    told = [
        not one["converged"] or bool(one["findings"]) or (gap is not None and gap > AHEAD_BY)
        for one, gap in zip(every, behind, strict=True)
    ]
    held = np.array([one["held"] for one in every], float)
    codes = sorted({code for one in every for code in one["findings"]})
    missed = [not all(one["held"]) and not noticed for one, noticed in zip(every, told, strict=True)]
    known = [gap for gap in behind if gap is not None]
    scores = [
        {name: said["crps"] for name, said in one.items() if said["crps"] is not None} for one in tables
    ]
    least = [min(one, key=one.__getitem__) for one in scores if one]
    return {
        "truth": truth,
        "fitted": fitted,
        "tables": len(every),
        "converged": sum(one["converged"] for one in every),
        "cover90": held.mean(axis=0).round(3).tolist(),
        "bias": np.median([one["bias"] for one in every], axis=0).round(5).tolist(),
        "findings": {code: sum(code in one["findings"] for one in every) for code in codes},
        "most_evidence": sum(gap < 0 for gap in known),
        "least_crps": least.count(fitted),
        "scored": sum(fitted in one for one in scores),
        "nats_behind": round(float(np.median(known)), 2) if known else None,
        "noticed": round(float(np.mean(told)), 3),
        "wrong_and_not_noticed": round(float(np.mean(missed)), 3),
    }


def cells(truth: str, every: list[dict[str, dict[str, Any]]]) -> Iterator[dict[str, Any]]:
    """What the tables of one truth say of each law that is fitted, printed as it comes."""
    for name in FITTED:
        one = cell(truth, name, every)
        print(
            f"{truth:>15} fitted by {name:<15} 90% held {one['cover90'][0]:.0%} {one['cover90'][1]:.0%}, bias "
            f"{one['bias'][0]:+.2%} {one['bias'][1]:+.2%}, {one['nats_behind']} nats behind, noticed "
            f"{one['noticed']:.0%}, wrong and not noticed {one['wrong_and_not_noticed']:.0%}",
            flush=True,
        )
        yield one


def main() -> None:
    """Simulate, fit, and print a line for each truth and fitted law."""
    import jax

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tables", type=int, default=40, help="of each truth")
    parser.add_argument("--noise", nargs="*", choices=NOISES, default=NOISES)
    parser.add_argument("--only", nargs="*", choices=tuple(TRUTHS), default=tuple(TRUTHS), help="truths")
    parser.add_argument("--folder", type=Path, help="where tables are kept, so that a study can be resumed")
    given = parser.parse_args()
    results = record.read("misfit") | record.header("python benchmarks/misfit.py --tables 40")
    for noise in given.noise:
        kept = {name: [one for one in results.get(noise, []) if one["truth"] == name] for name in TRUTHS}
        for truth in given.only:
            began = time.perf_counter()
            jax.clear_caches()
            every = [said_of(truth, seed, noise, given.folder) for seed in range(given.tables)]
            kept[truth] = list(cells(truth, every))
            results[noise] = [one for name in TRUTHS for one in kept[name]]
            record.write("misfit", results)
            print(f"{truth}, {noise}: {time.perf_counter() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
