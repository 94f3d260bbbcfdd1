"""The gates of task success: suites of public models forecast from the small ones, one configuration for all.

- gadre: the mean of 17 tasks, and gadre_tasks: each of them, of 104 models of three training corpora, cut in compute.
- obsscaling: 8 benchmarks of 123 models of 39 families, cut in compute, families seen before the cut apart.
- pythia: the mean pass rate of GSM8K of 81 checkpoints, cut in compute, scored in decades.
- metr: 50% horizons of models by date; see `bayescale.tasks.trend`.
- references: the errors that Gadre et al. print, by their own recipe.

Nothing is chosen by suite. What is asked of each stands beside what was found.

    python benchmarks/task_backtests.py
    python benchmarks/task_backtests.py obsscaling pythia
"""

import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import record

if TYPE_CHECKING:
    from bayescale.check.backtested import Backtest
    from bayescale.runs import Runs
    from bayescale.tasks.backtest import SuiteBacktest

METR_CUTS = (2024.25, 2024.42, 2024.5, 2024.75)  # years
GADRE_CUTS = (3e16, 1e17, 3e17, 1e18, 3e18, 1e19, 3e19, 1e20)  # the gates are at three of them
# What is asked: mean absolute errors in points at each cut, and the coverage of 90% intervals.
GATES: dict[str, Any] = {
    "gadre": {"error": {"1e18": 2.2, "1e19": 1.8, "1e20": 1.7}, "stretch": 1.5, "cover90": 0.8},
    "gadre_tasks": {"error": {"1e18": 10.4, "1e19": 10.2, "1e20": 8.8}, "cover90": 0.8},
    "obsscaling": {"seen": 7.3, "stretch": 6.0, "cover90": 0.8},
    "pythia": {"cover90": 0.8, "stretch_crps": 0.2},
    "metr": {"cover90": 0.8, "stretch_error": 1.0},
}


def read(name: str, **options: Any) -> "Runs":
    """A table of averages, with its factors."""
    from bayescale import data
    from bayescale.runs import Runs

    return Runs.read(data.path(name), **options)


def scores(backtest: "Backtest", chosen: np.ndarray) -> dict[str, Any]:
    """Those of some forecasts, in points, beside the best baseline and the best score so far."""
    from bayescale.check.scores import scores as of

    row = backtest.row("", chosen)
    best = of(backtest.rivals["the best so far"][:, chosen], backtest.truth[chosen])
    points = ("crps", "error", "bias", "width90")
    found = {k: round(100 * getattr(row.ours, k), 2) for k in points}
    return {
        "forecasts": int(chosen.sum()),
        **found,
        "cover50": round(row.ours.cover50, 3),
        "cover90": round(row.ours.cover90, 3),
        "log_score": round(row.ours.log_score, 2),
        "skill": round(row.skill, 3),
        "skill_error": round(row.error, 3),
        "rival": row.rival,
        "rival_crps": round(100 * row.theirs.crps, 2),
        "rival_error": round(100 * row.theirs.error, 2),
        "best_so_far_error": round(100 * best.error, 2),
    }


def by_cut(found: "SuiteBacktest") -> dict[str, Any]:
    """The scores of each fold, what was learned before it, and those by distance."""
    backtest = found.backtest
    of = np.repeat(np.arange(len(backtest.forecasts)), [len(one.index) for one in backtest.forecasts])
    lines = {}
    for k, one in enumerate(backtest.forecasts):
        weights = {n: round(w, 3) for n, w in found.weights[k].items()}
        lines[one.fold.name.rpartition(" ")[2]] = scores(backtest, of == k) | {
            "weights": weights,
            "drift": round(float(found.drift[k]), 3),
            "in_doubt": len(one.doubt),
        }
        if found.suite.task is None:
            lines[one.fold.name.rpartition(" ")[2]]["plateau"] = flattened(found, one.fold.known)
    gaps = {
        row.said: {"crps": round(100 * row.ours.crps, 2), "cover90": round(row.ours.cover90, 3)}
        | {"skill": round(row.skill, 3)}
        for row in backtest.by_gap
    }
    low, high = float(backtest.quantiles.min()), float(backtest.quantiles.max())
    return {"cuts": lines, "gaps": gaps, "refuse": found.refuse, "least": low, "greatest": high}


def flattened(found: "SuiteBacktest", known: np.ndarray) -> dict[str, Any] | None:
    """Whether the scores of the known models have stopped to rise; nothing where there are too few."""
    from bayescale.tasks.plateau import plateau

    runs = found.backtest.runs
    C, won, tried = (np.asarray(v)[known] for v in (runs.columns["C"], runs.response, runs.columns["trials"]))
    told = plateau(C, won, tried)
    if told is None:
        return None
    rounded = {n: np.round(getattr(told, n), 3).tolist() for n in ("rise", "before", "slowed")}
    return {"flagged": told.flagged, **rounded}


def gadre(*, each: bool) -> dict[str, Any]:
    """The 17 tasks, each or their mean."""
    import jax

    from bayescale.tasks.backtest import backtest_suite
    from bayescale.tasks.series import suite_scores
    from bayescale.tasks.suite_folds import Suite

    runs = read(
        "gadre2024_tasks", response="accuracy", factors=["task", "model", "family"], where="in_17_subset = 1"
    )
    suite = Suite(task="task" if each else None, family="family", loss="loss_c4_val")
    table = runs if each else suite_scores(runs)
    cuts = GADRE_CUTS[1::2] if each else GADRE_CUTS
    found = backtest_suite(jax.random.key(0), table, suite, cuts=cuts, report=tell)
    made = by_cut(found)
    if not each:  # and without a corpus, of which none or two models are known
        for shown in (0, 2):
            without = backtest_suite(jax.random.key(1), table, suite, shown=shown, report=tell).backtest
            made[f"without_corpus_{shown}_shown"] = scores(without, np.ones(len(without.index), bool))
    if each:
        truth = found.backtest.truth
        of = np.repeat(np.arange(len(cuts)), [len(one.index) for one in found.backtest.forecasts])
        for k, name in enumerate(made["cuts"]):
            off = np.abs(np.median(found.backtest.quantiles, axis=0) - truth)[of == k]
            made["cuts"][name]["median_error"] = round(100 * float(np.median(off)), 2)
    return made


def obsscaling() -> dict[str, Any]:
    """Eight benchmarks, families seen before the cut apart from the others."""
    import jax

    from bayescale import data, readers
    from bayescale.runs import Runs
    from bayescale.tasks.backtest import backtest_suite
    from bayescale.tasks.suite_folds import Suite

    table = readers.from_file(data.path("obsscaling2024_tasks"))
    here = np.isfinite(table.numbers("flops")) & np.isfinite(table.numbers("accuracy"))
    here &= np.asarray(table.columns["suite"], str) == "benchmark"
    text = {name: np.asarray(table.columns[name], str)[here] for name in ("model", "family", "task")}
    chance = np.nan_to_num(table.numbers("chance")[here])  # of TruthfulQA nobody says
    trials = np.nan_to_num(table.numbers("n_items")[here], nan=1e6)
    numbers = {name: table.numbers(name)[here] for name in ("params", "tokens", "flops", "accuracy")}
    runs = Runs.make(
        {**numbers, "chance": chance, "trials": trials, **text},
        response="accuracy",
        factors=["task", "model", "family"],
    )
    suite = Suite(task="task", family="family")
    found = backtest_suite(jax.random.key(0), runs, suite, cuts=(1e21, 1e22, 8.4e22, 3e23), report=tell)
    made = by_cut(found)
    family, begin = np.asarray(runs.factors["family"]), 0
    for one, line in zip(found.backtest.forecasts, made["cuts"].values(), strict=True):
        seen = np.isin(family[one.index], np.unique(family[one.fold.known]))
        whole = np.zeros(len(found.backtest.index), bool)
        mine = slice(begin, begin := begin + len(one.index))
        for name, part in (("seen", seen), ("unseen", ~seen)):
            chosen = whole.copy()
            chosen[mine] = part
            line[name] = scores(found.backtest, chosen)
    return made


def pythia() -> dict[str, Any]:
    """The mean pass rate of GSM8K of Pythia checkpoints, in decades."""
    import jax

    from bayescale.check.scores import crps, read_off
    from bayescale.tasks.backtest import backtest_suite
    from bayescale.tasks.series import suite_scores
    from bayescale.tasks.suite_folds import Suite

    runs = suite_scores(
        read("monkeys2025_gsm8k", response="successes", factors=["problem", "model"]), task="problem"
    )
    cuts = (1e19, 1e20, 3e20, 1e21, 3e21, 8e21)
    found = backtest_suite(jax.random.key(0), runs, Suite(), cuts=cuts, report=tell)
    made, begin = by_cut(found), 0
    truth = np.log10(np.maximum(found.backtest.truth, 1e-9))
    drawn = np.log10(np.maximum(found.backtest.quantiles, 1e-9))
    rivals = {n: np.log10(np.maximum(q, 1e-9)) for n, q in found.backtest.rivals.items()}
    for one, line in zip(found.backtest.forecasts, made["cuts"].values(), strict=True):
        mine = slice(begin, begin := begin + len(one.index))
        low, high = read_off(drawn[:, mine], (0.05, 0.95))
        best = min(rivals, key=lambda n: crps(rivals[n][:, mine], truth[mine]).mean())
        line["dex"] = {
            "crps": round(float(crps(drawn[:, mine], truth[mine]).mean()), 3),
            "error": round(float(np.abs(np.median(drawn[:, mine], axis=0) - truth[mine]).mean()), 3),
            "cover90": round(float(np.mean((low <= truth[mine]) & (truth[mine] <= high))), 3),
            "rival": best,
            "rival_crps": round(float(crps(rivals[best][:, mine], truth[mine]).mean()), 3),
        }
    return made


def metr() -> dict[str, Any]:
    """The 50% horizons of models by date, in doublings, of the file of February 2025, which ends with o1.

    Of the four cutoffs of the gate two have models after them in it: June and October 2024.
    """
    from dataclasses import asdict

    from bayescale.tasks.trend import backtest_horizons, measured_horizons

    found = measured_horizons(read_metr())
    lines = {}
    for cut, line in backtest_horizons(found, METR_CUTS).items():
        of = {n: rounded(asdict(s)) for n, s in line["baselines"].items()}
        ours = rounded(asdict(line["ours"]))
        lines[cut] = ours | {"known": line["known"], "skill": round(line["skill"], 3), "baselines": of}
        lines[cut]["inside"] = list(line["inside"])
    horizons = {
        one.model: {
            "date": round(one.date, 3),
            "minutes": round(2**one.log2, 2),
            "error": round(one.error, 2),
        }
        for one in found
    }
    return {"cuts": lines, "horizons": horizons}


def rounded(values: dict[str, float]) -> dict[str, float | None]:
    """Three digits; what is not known is nothing."""
    return {k: None if np.isnan(v) else round(v, 3) for k, v in values.items()}


def read_metr() -> "Runs":
    """The runs of models, without those of people."""
    from bayescale import data, readers
    from bayescale.columns import years
    from bayescale.runs import Runs

    table = readers.from_file(data.path("metr2025_tasks"))
    here = np.asarray(table.columns["agent"], str) != "human"
    text = {n: np.asarray(table.columns[n], str)[here] for n in ("agent", "task_id", "task_family")}
    numbers = {n: table.numbers(n)[here] for n in ("human_minutes", "attempts", "successes")}
    return Runs.make(
        {
            "minutes": numbers["human_minutes"],
            "date": years(np.asarray(table.columns["release_date"], object)[here]),
            "trials": numbers["attempts"],
            "successes": numbers["successes"],
            "model": text["agent"],
            "task": text["task_id"],
            "family": text["task_family"],
        },
        response="successes",
        factors=["model", "task", "family"],
        duplicates="keep",
    )


def references() -> dict[str, Any]:
    """The errors that Gadre et al. print for RedPajama, in percent, by their recipe; with what they print.

    Least squares of the loss of five runs, E + a N^-eta + b D^-eta, and of the error of six, eps - k exp(-gamma L).
    """
    from scipy.optimize import least_squares

    from bayescale import data, models, readers

    read_in = readers.from_file(data.path("gadre2024_overtrain"))
    role = np.asarray(read_in.columns["paper_role"], str)
    corpus = np.asarray(read_in.columns["group"], str) == "redpajama"
    N, D, loss, error = (read_in.numbers(c) for c in ("params", "tokens", "loss", "err17_avg"))
    fit, asked = corpus & (role == "fit"), corpus & (role == "target")
    known = fit | (corpus & (role == "fit_error_only"))
    tight: dict[str, Any] = {"xtol": 1e-15, "ftol": 1e-15, "gtol": 1e-15}
    law = models.load("chinchilla_tied").mean

    def losses(p, here):
        return np.asarray(
            law(N[here] / 1e8, D[here] / 2e9, E=p[0], A=np.exp(p[1]), B=np.exp(p[2]), alpha=p[3])
        )

    found = least_squares(lambda p: losses(p, fit) - loss[fit], (1.8, 0.0, 0.0, 0.25), **tight).x

    def errors(p, L):
        return p[0] - p[1] * np.exp(-p[2] * L)

    link = least_squares(lambda p: errors(p, loss[known]) - error[known], (0.86, 2.2, 0.7), **tight).x
    expected = losses(found, asked)
    order = np.argsort(N[asked])  # 1.4B with 640 tokens for each parameter, then 6.9B with 20
    off = {
        "loss": 100 * np.abs(expected / loss[asked] - 1)[order],
        "error": 100 * np.abs(errors(link, expected) / error[asked] - 1)[order],
    }
    printed = {"loss": [0.7103, 0.7320], "error": [3.6365, 0.0464]}
    return {n: {"found": np.round(v, 4).tolist(), "printed": printed[n]} for n, v in off.items()}


def tell(said: str) -> None:
    """What is being done."""
    print(f"  {said}", flush=True)


STUDIES = {
    "references": references,
    "metr": metr,
    "pythia": pythia,
    "gadre": lambda: gadre(each=False),
    "obsscaling": obsscaling,
    "gadre_tasks": lambda: gadre(each=True),
}


def main() -> None:
    """Do those asked for, print what came out and write it beside what was there."""
    wanted = sys.argv[1:] or list(STUDIES)
    results = record.header("python benchmarks/task_backtests.py")
    kept = record.read("task_backtests")
    results |= {name: kept[name] for name in STUDIES if name in kept} | {"gates": GATES}
    for name in wanted:
        print(name, flush=True)
        results[name] = STUDIES[name]()
        for cut, line in results[name].get("cuts", {}).items():
            print(f"  {cut}: {line}", flush=True)
        record.write("task_backtests", results)
    print(f"written to {record.write('task_backtests', results)}")


if __name__ == "__main__":
    main()
