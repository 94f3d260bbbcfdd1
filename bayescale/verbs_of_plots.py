"""The verb that draws: `bayescale plot`."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bayescale import arguments
from bayescale.files import put_figure
from bayescale.options import FORMATS, as_json, examples, hold, law_file, level
from bayescale.printed import print_json

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from bayescale.fit import Fit

CHECKED = ".json"  # what a file of a comparison or of a back-test ends in
# Each kind of figure, and the options that have a say in it.
KINDS: dict[str, tuple[str, ...]] = {
    "summary": (),
    "loss": ("covariate", "band", "hold", "level"),
    "isoflop": ("covariate", "compute", "hold", "level"),
    "contours": ("hold", "level"),
    "optimum": ("compute", "hold", "level"),
    "regret": ("compute", "hold", "level"),
    "residuals": ("covariate",),
    "parameters": ("parameter",),
    "pairs": ("parameter",),
    "forest": ("by", "relative"),
    "bootstrap": ("study", "parameter"),
    "approaches": ("covariate", "hold", "level"),
    "design": ("target", "compute", "hold", "level"),
    "thresholds": ("by",),
    "steps": ("by",),
}
# The kinds that are not of a fit, and what they are of.
CHECKS = {"evidence": "comparison", "backtest": "backtest"}
NEEDED = {
    "bootstrap": ("study", "study/"),
    "design": ("target", "N@1e24"),
}  # the option that it is nothing without
ALL = "all"
ALONG = ("C", "N", "D", "D/N")  # what losses are drawn against where all is drawn
AHEAD = 10.0  # times the compute of the largest run, where nobody says for which budget


@click.command(
    epilog=examples(
        "bayescale plot fit.nc -o fit.png",
        "bayescale plot fit.nc --kind isoflop --compute 1e21,1e22 -o isoflop.svg",
        "bayescale plot fit.nc --kind all -o figures/",
        "bayescale plot comparison.json -o which.png",
        "bayescale plot backtest.json -o tested.png --dark",
    )
)
@click.argument("path", metavar="FIT|COMPARISON|BACKTEST", type=click.Path())
@click.option(
    "--kind",
    type=click.Choice([*KINDS, *CHECKS, ALL]),
    help="What is drawn; by default the summary of a fit, or all that a comparison or a back-test has.",
)
@click.option(
    "--covariate", metavar="COLUMN", help="What it is drawn against: N, D, C, D/N or another column."
)
@click.option("--compute", metavar="FLOP", help="Budgets in FLOP, as 1e22,1e23.")
@click.option(
    "--band", type=click.Choice(["mean", "new_run"]), help="Bands of the mean curve, or of a new run."
)
@hold
@level
@click.option("--parameter", metavar="PARAMETERS", help="Which parameters, as alpha,beta.")
@click.option("--by", metavar="FACTOR", help="The factor of a forest; of thresholds and steps that of tasks.")
@click.option(
    "--relative", is_flag=True, default=None, help="A forest of what levels differ in from the typical one."
)
@click.option(
    "--study", type=click.Path(), help="Folder of a bootstrap of the same runs, as bootstrap --out made it."
)
@click.option("--target", help="What the next runs are to tell, as N@1e24; --compute is what they may take.")
@click.option("--dark", is_flag=True, help="For a dark page.")
@click.option("--dpi", type=click.IntRange(30, 1200), default=150, show_default=True, help="Dots to an inch.")
@law_file
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="FILE",
    help="File, as loss.png, .pdf or .svg; with --kind all a folder.",
)
@as_json
def plot(
    path: str,
    kind: str | None,
    dark: bool,
    dpi: int,
    law: str | None,
    output: str,
    as_json: bool,
    **options: Any,
) -> None:
    """Draw a fit, a comparison or a back-test.

    FIT is what `bayescale fit` wrote (.nc), and COMPARISON and BACKTEST are what compare and backtest wrote with -o
    (.json). Lines are medians over the draws and bands 90% intervals, dashed beyond the runs.
    """
    given = {name: value for name, value in options.items() if value not in (None, ())}
    if path.endswith(CHECKED) or kind in CHECKS:
        return _draw_check(path, kind, given, output, dark=dark, dpi=dpi, as_json=as_json)
    kind = kind or "summary"
    if kind != ALL and (foreign := [name for name in given if name not in KINDS[kind]]):
        takes = ", ".join(f"--{name}" for name in KINDS[kind]) or "no such option"
        raise ValueError(f"--{foreign[0]} has no say in {kind}; it takes {takes}")
    if kind in NEEDED and NEEDED[kind][0] not in given:
        name, example = NEEDED[kind]
        raise ValueError(f"{kind} needs --{name}, as --{name} {example}")
    _writable(output, folder=kind == ALL)
    from bayescale.plot_themes import style

    fit = arguments.fit_in(path, arguments.law_of(law) if law else None)
    files: list[str] = []
    skipped: dict[str, str] = {}
    with style("dark" if dark else "light"):
        if kind == ALL:
            for name, draw in _everything(fit, given).items():
                try:
                    drawn = draw()
                except ValueError as error:  # of what the fit has not; the others are drawn
                    skipped[name] = str(error)
                    continue
                Path(output).mkdir(exist_ok=True)
                files.append(str(Path(output) / f"{name}.png"))
                put_figure(drawn, files[-1], dpi=dpi)
        else:
            files.append(output)
            put_figure(_draw(fit, kind, given), output, dpi=dpi)
    if as_json:
        return print_json({"verdict": fit.verdict, "files": files, "left_out": skipped})
    for name, why in skipped.items():
        click.echo(f"left out: {name}: {why}")
    where = f"{len(files)} figures are in {output}" if kind == ALL else f"the figure is in {output}"
    click.echo(where)
    if not fit.converged:
        click.secho(fit.verdict, bold=True, fg="red")


def _draw_check(
    path: str, kind: str | None, given: Mapping[str, Any], output: str, *, dark: bool, dpi: int, as_json: bool
) -> None:
    """Draw what `bayescale compare -o` or `bayescale backtest -o` wrote."""
    if given:
        raise ValueError(f"--{next(iter(given))} has no say in a comparison or a back-test")
    if kind is not None and kind not in CHECKS:
        raise ValueError(f"{kind} is of a fit, a file .nc, and not of {path}")
    _writable(output, folder=False)
    from bayescale import plot_of_checks
    from bayescale.check.as_data import load_check
    from bayescale.plot_themes import style

    found = load_check(path, CHECKS[kind] if kind else None)
    draw = plot_of_checks.comparison if found["of"] == "comparison" else plot_of_checks.backtest
    with style("dark" if dark else "light"):
        try:
            drawn = draw(found)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise ValueError(
                f"{path} is not what `bayescale {found['of']}` wrote ({error!r} in it)"
            ) from None
        put_figure(drawn, output, dpi=dpi)
    if as_json:
        return print_json({"verdict": found["verdict"], "files": [output], "left_out": {}})
    click.echo(f"the figure is in {output}")


def _writable(output: str, *, folder: bool) -> None:
    """Refuse, before anything is worked out, what could not be written."""
    place = Path(output).absolute()
    if not place.parent.is_dir():
        raise FileNotFoundError(f"{output}: there is no folder {place.parent}")
    if folder and place.exists() and not place.is_dir():
        raise ValueError(f"{output} is a file; with --kind all give a folder, as -o figures")
    if not folder and place.suffix not in FORMATS:
        raise ValueError(f"--output is {output!r}; its name ends in one of {', '.join(FORMATS)}")


def _everything(fit: "Fit", given: Mapping[str, Any]) -> dict[str, Callable[[], "Figure"]]:
    """Every figure there may be of a fit, file -> what draws it."""

    def one(kind: str, **more: Any) -> Callable[[], "Figure"]:
        own = {name: value for name, value in given.items() if name in KINDS[kind]} | more
        if kind in ("regret", "design") and "compute" in own:  # of the greatest budget
            own["compute"] = own["compute"].split(",")[-1]
        return lambda: _draw(fit, kind, own)

    along = dict.fromkeys(
        (given["covariate"],) if "covariate" in given else (*ALONG, *fit.model.law.covariates)
    )
    found = {"summary": one("summary")}
    found |= {f"loss_{c.replace('/', '_per_')}": one("loss", covariate=c) for c in along}
    found["isoflop"] = one("isoflop", covariate="N")
    found |= {
        kind: one(kind) for kind in ("contours", "optimum", "regret", "residuals", "parameters", "pairs")
    }
    factors = (given["by"],) if "by" in given else tuple(fit.model.factors)
    found |= {f"forest_{by}": one("forest", by=by) for by in factors}
    found["approaches"] = one("approaches", covariate="N")
    if "threshold" in fit.model.varying:
        found |= {kind: one(kind) for kind in ("thresholds", "steps")}
    return found | {kind: one(kind) for kind, (name, _) in NEEDED.items() if name in given}


def _draw(fit: "Fit", kind: str, given: Mapping[str, Any]) -> "Figure":
    """One figure."""
    import numpy as np

    if kind == "summary":
        from bayescale.plot import figure

        return figure(fit)
    if kind == "residuals" and "covariate" not in given:
        from bayescale.plot import residual_panels

        return residual_panels(fit)
    return np.ravel(_axes(fit, kind, given))[0].get_figure(root=True)


def _axes(fit: "Fit", kind: str, given: Mapping[str, Any]) -> Any:
    """The axes of one figure, or several."""
    from bayescale import plot as of

    levels: dict[str, Any] = dict(arguments.pairs_of(given.get("level", ()), "--level", "corpus=web"))
    at = arguments.held_of(given["hold"]) if "hold" in given else None
    where: dict[str, Any] = {"at": at, **levels}
    budgets = _budgets(given["compute"]) if "compute" in given else None
    names = [name.strip() for name in given["parameter"].split(",")] if "parameter" in given else None
    match kind:
        case "loss":
            covariate = given.get("covariate", "C")
            return of.loss_curves(fit, covariate=covariate, kind=given.get("band", "mean"), **where)
        case "isoflop":
            return of.isoflop(fit, compute=budgets, against=given.get("covariate", "N"), **where)
        case "contours":
            return of.contours(fit, **where)
        case "optimum":
            return of.optimum(fit, compute=budgets, **where)
        case "regret":
            return of.regret(fit, compute=_budget(fit, kind, budgets), **where)
        case "approaches":
            return of.optima(fit, _approaches(fit), quantity=given.get("covariate", "N"), **where)
        case "design":
            from bayescale.decide.design import design

            return of.design(design(fit, given["target"], _budget(fit, kind, budgets), **where))
        case "residuals":
            return of.residuals(fit, covariate=given["covariate"])
        case "parameters":
            return of.parameters(fit, names=names or fit.model.law.parameters)
        case "pairs":
            return of.pairs(fit, names=names)
        case "thresholds" | "steps":
            from bayescale import plot_of_tasks

            return getattr(plot_of_tasks, kind)(fit, task=given.get("by", "task"))
        case "forest":
            return of.forest(fit, by=given.get("by"), relative=given.get("relative", False))
    from bayescale.infer.bootstrap import load_study

    return of.bootstrap(fit, load_study(given["study"]), names=names)


def _approaches(fit: "Fit") -> list:
    """The optima of the runs by approaches 1 and 2, or by the one that there is."""
    import jax

    from bayescale.decide.envelope import envelope
    from bayescale.decide.parabola import parabola

    found, why = [], []
    for approach in (parabola, envelope):
        try:
            found.append(approach(jax.random.key(0), fit.runs))
        except ValueError as error:
            why.append(str(error))
    if not found:
        raise ValueError("; ".join(why))
    return found


def _budget(fit: "Fit", kind: str, budgets: list[float] | None) -> float:
    """The one budget that a figure is of; ten times the compute of the largest run where none is given."""
    import numpy as np

    from bayescale.plot import column

    budgets = budgets or [float(f"{AHEAD * np.max(column(fit, 'C')):.0e}")]
    if len(budgets) > 1:
        raise ValueError(f"{kind} is of one budget; --compute has {len(budgets)}")
    return budgets[0]


def _budgets(text: str) -> list[float]:
    """The budgets in a text such as "1e22,1e23"."""
    from bayescale.columns import number

    found = [number(part) for part in text.split(",")]
    if any(value is None or not value > 0 for value in found):
        raise ValueError(f"--compute is {text!r}; it is numbers of FLOP, such as 1e22,1e23")
    return sorted(float(value) for value in found if value is not None)
