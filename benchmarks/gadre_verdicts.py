"""Verdicts on the 46 tasks of Gadre et al., from small models alone, and where a law then forecasts the large ones.

Each task of each training corpus has its verdict along compute, from the models up to a cut. Those
beyond one and a half times the cut are then forecast: by the link from loss to success of the known models at the loss
that was measured (which asks whether there is a law, and not whether the loss is known), and by the smooth law in
compute itself. They are held against the best score so far and the mean score.

Of four tasks there are averages over parts; they are taken as of so many whole items.

    python benchmarks/gadre_verdicts.py
"""

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import record

if TYPE_CHECKING:
    from bayescale.tasks.verdict import Verdict

CUTS = (1e19, 1e20)
BEYOND = 1.5  # times the cut: what is forecast
SURE, POINTS = 0.95, 0.05  # of a verdict that is relied on: its probability, and the best score above chance
# What verdicts are told apart by, and what Gadre et al.'s table of reference has for them: pairs, the error of the law
# and of the best so far in points, and how often the law beats both baselines, at 1e19 and at 1e20.
CLASSES = {
    "smooth, sure and above chance": ((18, 6.6, 12.4, 0.94), (36, 7.2, 9.1, 0.81)),
    "smooth otherwise": ((42, 8.2, 6.3, 0.48), (29, 4.1, 4.2, 0.52)),
    "constant": ((61, 2.8, 4.0, 0.33), (50, 2.0, 3.6, 0.38)),
    "sharp": ((9, 18.6, 7.4, 0.11), (13, 10.1, 7.9, 0.31)),
    "inverse": ((8, 3.7, 4.3, 0.0), (10, 3.9, 5.3, 0.2)),
    "broken": None,
    "erratic": None,
    "not yet": None,
}


def table() -> dict[str, np.ndarray]:
    """The columns of the table, (rows,)."""
    from bayescale import data, readers

    read = readers.from_file(data.path("gadre2024_tasks"))
    numbers = ("flops", "loss_c4_val", "n_items", "n_correct", "accuracy", "chance")
    found = {name: read.numbers(name) for name in numbers}
    found |= {name: np.asarray(read.columns[name], str) for name in ("family", "task")}
    found["wins"] = np.where(
        np.isfinite(found["n_correct"]), found["n_correct"], np.rint(found["accuracy"] * found["n_items"])
    )
    return found


def pairs() -> list[dict[str, Any]]:
    """The rows of each task in each corpus."""
    all_of = table()
    found = []
    for task in np.unique(all_of["task"]):
        for family in np.unique(all_of["family"]):
            here = (all_of["task"] == task) & (all_of["family"] == family)
            own = {name: values[here] for name, values in all_of.items()}
            found.append({**own, "task": str(task), "family": str(family)})
    return found


def klass(told: "Verdict") -> str:
    """What a verdict counts as."""
    if told.kind != "smooth":
        return told.kind
    sure = told.probabilities["smooth"] > SURE and told.best > POINTS
    return "smooth, sure and above chance" if sure else "smooth otherwise"


@cache
def form(name: str, chance: float):
    """The model of a law, made once for each chance level, for which nothing is compiled anew."""
    import numpyro.distributions as dist

    from bayescale import models, noise
    from bayescale.model import Model

    about = noise.beta_binomial.replace(priors={"concentration": dist.LogNormal(np.log(200.0), 1.0)})
    floor = {"floor": dist.Beta(50 * chance, 50 * (1 - chance))}  # guessing, give or take
    law = models.load(name).replace(priors=floor)
    return Model(law.along("x") if name == "logistic" else law, about, effects=())


def forecasts(key, own: dict[str, Any], known: np.ndarray, asked: np.ndarray) -> dict[str, float]:
    """The mean absolute errors of forecasts, in points: of the laws, and of the baselines."""
    from jax import random

    from bayescale.runs import Runs
    from bayescale.tasks.quick import quick_evidence

    chance = float(np.clip(own["chance"][0], 0.005, 0.95))
    score = own["wins"] / own["n_items"]
    found = {
        "best so far": np.full(asked.sum(), score[known].max()),
        "mean": np.full(asked.sum(), score[known].mean()),
    }
    for name, law, covariate, column in (
        ("link", "success_of_loss", "loss", "loss_c4_val"),
        ("law", "logistic", "x", "flops"),
    ):
        model = form(law, chance)
        counts = {"successes": own["wins"][known], "trials": own["n_items"][known]}
        runs = Runs.make({covariate: own[column][known], **counts}, response="successes", duplicates="keep")
        quick = quick_evidence(
            random.fold_in(key, len(name)), model, runs, rough=True
        )  # medians take no more
        drawn = np.random.default_rng(0).choice(len(quick.weights), 1000, p=quick.weights)
        relative = own[column][asked] / float(np.asarray(runs.reference[covariate]))
        parameters = {p: np.asarray(quick.values[p])[drawn, None] for p in model.law.parameters}
        found[name] = np.median(np.asarray(model.law({covariate: relative}, parameters)), axis=0)
    return {name: 100 * float(np.mean(np.abs(one - score[asked]))) for name, one in found.items()}


def study() -> list[dict[str, Any]]:
    """The verdict on each task in each corpus at each cut, and what became of forecasts."""
    import jax

    from bayescale.tasks.verdict import verdict

    found = []
    for i, own in enumerate(pairs()):
        for cut in CUTS:
            key = jax.random.fold_in(jax.random.key(0), i)
            known = own["flops"] <= cut
            told = verdict(
                key,
                own["flops"][known],
                own["wins"][known],
                own["n_items"][known],
                chance=float(own["chance"][0]),
            )
            row: dict[str, Any] = {
                "task": own["task"],
                "corpus": own["family"].removeprefix("gadre2024_"),
                "cut": cut,
                "class": klass(told),
                "kind": told.kind,
                "smooth": round(told.probabilities["smooth"], 4),
                "best": round(100 * told.best, 2),
                "doubt": bool(told.trouble),
            }
            errors = forecasts(key, own, known, own["flops"] > BEYOND * cut)
            row["error"] = {name: round(value, 2) for name, value in errors.items()}
            found.append(row)
        print(f"{own['task']} {own['family']}: {', '.join(r['class'] for r in found[-2:])}", flush=True)
    return found


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """How often a law beats both baselines, by verdict and cut."""
    by_cut: dict[str, Any] = {}
    for place, cut in enumerate(CUTS):
        here = [row for row in rows if row["cut"] == cut]
        lines = {}
        for name, reference in CLASSES.items():
            own = [row["error"] for row in here if row["class"] == name]
            if not own:
                continue
            lines[name] = {
                "pairs": len(own),
                "error": {k: round(float(np.mean([e[k] for e in own])), 2) for k in own[0]},
                "link_wins": round(
                    float(np.mean([e["link"] < min(e["best so far"], e["mean"]) for e in own])), 3
                ),
                "law_wins": round(
                    float(np.mean([e["law"] < min(e["best so far"], e["mean"]) for e in own])), 3
                ),
                "reference": list(reference[place]) if reference else None,
            }
        by_cut[f"{cut:g}"] = lines
    return {"by_cut": by_cut, "in_doubt": sum(row["doubt"] for row in rows)}


def main() -> None:
    """Do all, print what came out and write it."""
    results = record.header("python benchmarks/gadre_verdicts.py")
    rows = study()
    results |= summary(rows) | {"rows": rows}
    for cut, lines in results["by_cut"].items():
        for name, line in lines.items():
            print(f"{cut} {name}: {line}")
    print(f"written to {record.write('gadre_verdicts', results)}")


if __name__ == "__main__":
    main()
