"""The verb that asks whether a suite of tasks has a law, and what the next model will score: `bayescale tasks`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bayescale import arguments
from bayescale.files import put_figure
from bayescale.options import as_json, csv_of, examples, reading, seed, writable
from bayescale.printed import print_json, print_table, write_csv

if TYPE_CHECKING:
    from bayescale.runs import Runs
    from bayescale.tasks.assess import Assessment


@click.command(
    epilog=examples(
        "bayescale tasks evals.csv",
        "bayescale tasks evals.csv --by problem --family topic --at 1e25 --figures figures",
        "bayescale tasks gadre2024_tasks --loss loss_c4_val --no-overlap --csv backtest.csv",
        "bayescale tasks evals.csv --leave-out tasks --leave-out hardest --save items.nc",
    )
)
@click.argument("evals", metavar="EVALS")
@click.option("--by", "task", default="task", show_default=True, help="Factor of the tasks.")
@click.option("--model", default="model", show_default=True, help="Factor of the models.")
@click.option(
    "--family",
    multiple=True,
    help="Factor of families of tasks or of models, which is seen from the table, as is a column of that name; may be "
    "given for each.",
)
@click.option("--along", default="C", show_default=True, help="What is forecast along.")
@click.option("--at", help="Where the forecast is, as 1e24; ten times beyond the largest model if not said.")
@click.option("--loss", help="Column of losses of the models, for forecasts by way of them.")
@click.option(
    "--error",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.05,
    show_default=True,
    help="Standard deviation of the forecast that is wanted, as a share.",
)
@click.option(
    "--overlap/--no-overlap",
    "overlapping",
    default=None,
    help="Whether to fit the tasks for their overlap, which takes counts.",
)
@click.option(
    "--leave-out",
    type=click.Choice(("tasks", "families", "hardest", "labs")),
    multiple=True,
    help="Test forecasts of tasks, of families of tasks, of the hardest tasks, or of families of models that are "
    "left out as well; may be given again.",
)
@click.option("--cutoffs", type=click.IntRange(1), default=5, show_default=True, help="How many cutoffs.")
@click.option(
    "--save",
    callback=writable,
    type=click.Path(dir_okay=False),
    help="Keep the fit behind the overlap in a file, as items.nc.",
)
@click.option("--figures", type=click.Path(file_okay=False), help="Folder for figures.")
@seed
@reading
@csv_of("the back-test")
@as_json
def tasks(
    evals: str,
    as_json: bool,
    csv: str | None,
    seed: int,
    task: str,
    model: str,
    family: tuple[str, ...],
    leave_out: tuple[str, ...],
    at: str | None,
    save: str | None,
    figures: str | None,
    **options: Any,
) -> None:
    """Say whether a suite of tasks has a law, and what comes.

    The verdict by evidence, the overlap of the tasks, a back-test, a forecast, and one sentence.
    """
    import jax

    from bayescale.tasks.assess import assess_suite
    from bayescale.words_of_tasks import BACKTEST, described

    own = {n: options.pop(n) for n in ("along", "loss", "error", "overlapping", "cutoffs")}
    where = arguments.amount_of(at, "--at") if at else None
    if figures is not None:  # before anything is worked out that could not be drawn
        Path(figures).mkdir(parents=True, exist_ok=True)
    runs, groups = _read(evals, task, model, family, options)
    if not as_json:
        for note in runs.notes:
            click.echo(f"note: {note}")
    found = assess_suite(
        jax.random.key(seed),
        runs,
        task=task,
        model=model,
        at=where,
        leave_out=leave_out,
        **groups,
        **own,
        report=None if as_json else lambda said: click.echo(f"... {said}", err=True),
    )
    told = described(found)
    if not as_json:
        for note in found.scores.notes[len(runs.notes) :]:
            click.echo(f"note: {note}")
        _print(found, told)
    if csv is not None:
        write_csv(csv, list(BACKTEST), [list(row.values()) for row in told["backtest"]])
    if save is not None and (fit := found.fit) is not None:
        from bayescale.storage import save as keep

        keep(fit, save)
        told["fit"] = save
    elif save is not None:
        click.echo(f"note: {save} is not written: no overlap was looked for, and so no fit made", err=True)
    if figures is not None:
        told["figures"] = drawn(found, runs, Path(figures), task=task, model=model)
    if as_json:
        print_json(told)


def _read(evals: str, task: str, model: str, families: tuple[str, ...], options: dict[str, Any]):
    """The table with its factors, and which family is of tasks and which of models."""
    from bayescale.tasks.assess import grouped

    options["response"] = options["response"] or "success"
    options["factors"] = tuple(dict.fromkeys((*options["factors"], task, model, *families)))
    runs = arguments.table_of(evals, **options)
    groups: dict[str, str | None] = {"family": None, "lab": None}
    for one in families or ("family",):
        of = grouped(runs, one, task=task, model=model)
        if of is not None:
            kind = "family" if of == "tasks" else "lab"
            if groups[kind] is not None:
                raise ValueError(f"--family {one}: {groups[kind]} groups {of} already; give one of each")
            groups[kind] = one
        elif families:
            raise ValueError(f"--family {one}: it groups neither the levels of {task} nor those of {model}")
    return runs, groups


def _print(found: "Assessment", told: dict[str, Any]) -> None:
    from bayescale.words_of_tasks import BACKTEST

    probabilities = told["verdict"]["probabilities"]
    print_table(
        ["verdict", *probabilities], [(found.verdict.kind, *(f"{p:.2g}" for p in probabilities.values()))]
    )
    if told["overlap"]:
        own = told["overlap"]
        print_table(
            ["overlap", "tasks", "worth", "needed", "not resolved", *own["shares"]],
            [
                (
                    f"{own['omega']:.2g}",
                    own["tasks"],
                    f"{own['effective']:.3g}",
                    f"{told['budget']['required']:.3g}",
                    len(own["unresolved"]),
                    *(f"{max(share, 0.0):.0%}" for share in own["shares"].values()),
                )
            ],
            title="Of a new model at the forecast: the share of the variance of the score by what is shared",
        )
    else:
        why = (
            "not asked for"
            if found.counts
            else "not to be known: there are means of many items, and not counts"
        )
        click.echo(f"overlap: {why}")
    if told["backtest"]:
        rows = [(*(_cell(n, v) for n, v in row.items()),) for row in told["backtest"]]
        print_table(
            list(BACKTEST), rows, title="Back-test: models beyond each cutoff from those up to it; in points"
        )
        weights = {n: w for n, w in told["forecast"]["weights"].items() if w > 0.05}
        click.echo("weights: " + ", ".join(f"{n} {w:.2f}" for n, w in weights.items()))
    else:
        click.echo(f"no back-test: {found.untested}")
    for name, lines in told["left_out"].items():
        rows = [(*(_cell(n, v) for n, v in row.items()),) for row in lines]
        print_table(
            ["left out", *BACKTEST[1:]],
            rows,
            title=f"Of {name} that are left out, from the others; in points",
        )
    for finding in found.findings:
        click.echo(str(finding))
    click.secho(found.sentence, bold=True, fg=None if found.predictable else "red")


def _cell(name: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    if name == "forecasts":
        return str(value)
    if name in ("skill", "error"):
        return f"{value:.2f}"
    return f"{value:.0%}" if name in ("50%", "90%") else f"{100 * value:.2f}"


def drawn(found: "Assessment", runs: "Runs", folder: Path, *, task: str, model: str) -> list[str]:
    """Write the figures there are, and say which."""
    from bayescale import plot_of_tasks as of

    made: dict[str, Any] = {"curves": lambda: of.curves(found, runs, task=task, model=model)}
    if (fit := found.fit) is not None:
        made |= {
            "thresholds": lambda: of.thresholds(fit, task=task),
            "steps": lambda: of.steps(fit, task=task),
        }
    if (tested := found.backtest) is not None:
        made["reliability"] = lambda: of.reliability(tested)
    files = []
    for name, draw in made.items():
        files.append(str(folder / f"{name}.png"))
        put_figure(draw().figure, files[-1], dpi=150)
    return files
