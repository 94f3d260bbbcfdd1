"""The demonstration: a hierarchical law for the table of published models, and what can be said with it."""

import json
import sys
from pathlib import Path

import click
import jax
import numpy as np

from bayescale import data, models, noise, plot, words
from bayescale.check.findings import findings
from bayescale.columns import label
from bayescale.decide.allocate import WIDE, compute_optimal
from bayescale.files import put_figure
from bayescale.fit import Fit
from bayescale.infer.nuts import nuts
from bayescale.infer.optimize import optimize
from bayescale.model import Model
from bayescale.page.report import report as write_report
from bayescale.page.reproduce import command
from bayescale.page.sentences import advice
from bayescale.pooling import Pooling
from bayescale.printed import show
from bayescale.progress import bar
from bayescale.storage import save

TABLE = "pile_families_2023"
POINT = {"N": 7e10, "D": 1.4e12}
BUDGET = 1e23
TARGET = 0.995  # a careful first try is quicker than a second
LEARNED, PRIOR = (
    0.8,
    0.5,
)  # contraction above which the data taught a parameter, and under which the prior did


def run(folder: Path, seed: int, *, as_json: bool) -> None:
    """Fit, print, and write the fit, a figure and a report to the folder."""
    runs = data.load(TABLE)
    key, key_point, key_new = jax.random.split(jax.random.key(seed), 3)
    law = models.load("chinchilla")
    # Thirty runs teach neither the weight of the tails of the noise nor shocks by model size, so both are left out.
    model = Model(law, noise.log_normal, pooling=(Pooling(("A",), by="family"),), effects=())
    if as_json or not sys.stderr.isatty():
        fit = nuts(key, model, runs, target=TARGET)
    else:
        with bar() as report:
            fit = nuts(key, model, runs, target=TARGET, report=report)
    naive = optimize(key_point, Model(law, noise.log_normal, effects=()), runs, priors=False)
    folder.mkdir(parents=True, exist_ok=True)
    save(fit, folder / "fit.nc")
    put_figure(plot.figure(fit), folder / "fit.png", dpi=150)
    page = folder / "report.html"
    typed = command("demo", [], {"o": folder, "seed": seed})
    title = "Published models trained on the Pile"
    # Refits take as long again as all of this; the page says that there were none.
    write_report({"demo": fit}, page, compute=BUDGET, title=title, deep=False, command=typed)
    forecast = fit.predict(POINT, kind="new_level", key=key_new)
    optimum = compute_optimal(fit, BUDGET, bounds=WIDE, centre=True)
    split = {"N": optimum["N"], "D": optimum["D"], "tokens per parameter": optimum["D/N"]}
    split |= {"loss": optimum["loss"]}
    if as_json:
        answer = {
            **words.of_fit(fit),
            "findings": words.of_findings(findings(fit)),
            "least_squares": words.of_fit(naive),
            "forecast": {**POINT, **_quantiles(forecast)},
            "compute_optimal": {
                "C": BUDGET,
                **{name: _quantiles(values) for name, values in split.items()},
                "choice": optimum.choice,
                "regret": optimum.to_dict()["regret"],
            },
            "files": [str(folder / name) for name in ("fit.nc", "fit.png", "report.html")],
        }
        click.echo(json.dumps(words.plain(answer), indent=2))
        return
    _story(runs, naive, fit)
    if not fit.converged:
        click.secho("The fit has not converged: what follows is no result.", bold=True, fg="red")
    beyond = words.beyond_runs(fit, {"C": 6 * POINT["N"] * POINT["D"]})
    click.echo(
        f"\nForecast: a model of {label(POINT['N'])} parameters and {label(POINT['D'])} tokens, of a family not "
        f"seen, {beyond} beyond the runs:\n  loss {_interval(forecast, '.3f')}"
    )
    click.echo(f"Compute-optimal split of {BUDGET:.0e} FLOP, for a typical family:")
    for name, values in split.items():
        click.echo(f"  {name:<21} {_interval(values, '.3f' if name == 'loss' else None)}")
    if chosen := advice(optimum):
        click.echo(f"  {chosen}")
    click.echo(
        f"\nThe fit is in {folder / 'fit.nc'}, its figure in {folder / 'fit.png'}, and all of it in {page}."
    )


def _story(runs, naive: Fit, fit: Fit) -> None:
    click.echo(f"{len(runs)} published models of {len(runs.levels['family'])} families, trained on the Pile:")
    for note in runs.notes:
        click.echo(f"  {note}")
    point = {row.name: row.mean for row in naive.summary().rows}
    click.echo(
        "\nLeast squares of the log loss, all families as one, as a notebook would do it:\n"
        f"  E = {point['E']:.2g}, alpha = {point['alpha']:.3f}, beta = {point['beta']:.3f}; {naive.verdict}"
    )
    click.echo(
        "\nThe same law with its priors and an A that differs by family. Shocks that models of one size share, and\n"
        "heavy tails, both of which `bayescale fit` would add, are left out: of them thirty runs teach nothing.\n"
    )
    found = findings(fit)
    show(fit, found)
    rows = {row.name: row.contraction for row in fit.summary().rows if row.name in fit.model.law.parameters}
    loose = {"E"} if "FLOOR_PRIOR" in (one.code for one in found) else set()  # whatever its contraction
    taught = [p for p, c in rows.items() if c is not None and c >= LEARNED and p not in loose]
    between = [p for p, c in rows.items() if c is not None and c >= PRIOR and p not in taught]
    believed = [p for p, c in rows.items() if c is not None and c < PRIOR]
    click.echo("\nWhat the data taught, by contraction (1: all of it; 0: the prior only):")
    for said, names in (("by the data", taught), ("by both", between), ("by the prior", believed)):
        if names:
            click.echo(f"  {said:<13}" + ", ".join(f"{p} ({rows[p]:.2f})" for p in names))


def _quantiles(values: np.ndarray) -> dict[str, float]:
    low, middle, high = np.quantile(values, [0.05, 0.5, 0.95]).tolist()
    return {"q5": low, "q50": middle, "q95": high}


def _interval(values: np.ndarray, form: str | None = None) -> str:
    said = {q: f"{v:{form}}" if form else label(v) for q, v in _quantiles(values).items()}
    return f"{said['q50']}, 90% between {said['q5']} and {said['q95']}"
