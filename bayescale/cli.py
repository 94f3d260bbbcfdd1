"""The command line: parses, calls, prints; no statistics.

Only Click is imported here; each verb imports what it needs, so that help and mistakes cost nothing.
"""

import gc
from pathlib import Path
from typing import Any

import click

from bayescale import arguments
from bayescale.options import as_csv, as_json, examples, reading, seed
from bayescale.printed import print_json, print_table, write_rows
from bayescale.verbs import fit, predict
from bayescale.verbs_of_checks import check
from bayescale.verbs_of_comparisons import backtest, compare, relevance
from bayescale.verbs_of_decisions import allocate, gain, target
from bayescale.verbs_of_design import design, isoflop
from bayescale.verbs_of_plots import plot
from bayescale.verbs_of_reports import report
from bayescale.verbs_of_simulations import calibrate, simulate
from bayescale.verbs_of_studies import bootstrap
from bayescale.verbs_of_tasks import tasks

# The verbs in the order in which they are needed.
PARTS = {
    "To begin with": ("demo", "laws", "data"),
    "To fit": ("fit", "bootstrap", "predict"),
    "To check": ("check", "compare", "backtest", "relevance", "tasks"),
    "To decide": ("allocate", "target", "gain", "design", "isoflop"),
    "To try the tool": ("simulate", "calibrate"),
    "To show": ("plot", "report"),
}


class _Group(click.Group):
    """Says what is wrong with the input in one line, and exits with 2; lists the verbs by what they are for."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, names in PARTS.items():
            with formatter.section(title):
                formatter.write_dl([(n, self.commands[n].get_short_help_str(formatter.width)) for n in names])

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (ValueError, KeyError, TypeError, OSError) as error:
            from bayescale.table import printable

            # An OSError of ours has a sentence; one of the system's has a number and a file.
            text = str(error) if isinstance(error, OSError) else str(error.args[0] if error.args else error)
            click.echo(f"bayescale: {printable(text)}", err=True)
            ctx.exit(2)


@click.group(
    cls=_Group,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=examples(
        "bayescale demo",
        "bayescale data check runs.csv",
        "bayescale fit runs.csv --law chinchilla -o fit.nc",
        "bayescale report fit.nc --compute 1e24 -o report.html",
    ),
)
@click.version_option(package_name="bayescale")
def main() -> None:
    """Fit scaling laws with uncertainty, and say what follows.

    Numbers are written as 7e10, 70B or 1.4T. Each verb has its help, with examples: bayescale fit --help.
    """
    # Tracing makes millions of objects and hardly any rubbish; looking for it so often takes a tenth of the time.
    gc.set_threshold(500_000)


@main.command(epilog=examples("bayescale laws", "bayescale laws chinchilla"))
@click.argument("name", required=False)
@as_csv
@as_json
def laws(name: str | None, csv: str | None, as_json: bool) -> None:
    """List the laws, or describe one with its priors and its source."""
    from bayescale import words

    found = words.laws() if name is None else [words.law(arguments.law_of(name))]
    if csv:
        write_rows(csv, found)
    if as_json:
        return print_json({"laws": found} if name is None else found[0])
    if name is None:
        print_table(
            ["law", "response", "in", "parameters", "formula"],
            [(e["name"], e["response"], e["covariates"], e["parameters"], e["formula"]) for e in found],
        )
    else:
        click.echo(words.describe(found[0]))
    if csv:
        click.echo(f"the table is in {csv}")


@main.group(
    invoke_without_command=True,
    epilog=examples(
        "bayescale data", "bayescale data check runs.csv", "bayescale data show pile_families_2023"
    ),
)
@click.pass_context
@as_csv
@as_json
def data(ctx: click.Context, csv: str | None, as_json: bool) -> None:
    """List the data sets there are; check a table of your own."""
    if ctx.invoked_subcommand is None:
        from bayescale import data

        found = [{"name": n, **data.describe(n)} for n in data.names()]
        if csv:
            write_rows(csv, found)
        if as_json:
            return print_json({"data": found})
        print_table(
            ["name", "rows", "licence", "title"],
            [(e["name"], e["rows"], e["licence"], e["title"]) for e in found],
        )
        if csv:
            click.echo(f"the table is in {csv}")


@data.command("show", epilog=examples("bayescale data show pile_families_2023"))
@click.argument("name")
@as_json
def show_data(name: str, as_json: bool) -> None:
    """Describe a data set: source, licence, units, origin of its rows."""
    from bayescale import data

    entry = {"name": name, **data.describe(name)}
    if as_json:
        return print_json(entry)
    for field, value in entry.items():
        click.echo(f"{field:<11} {value}")


@data.command("fetch", epilog=examples("bayescale data fetch gadre2024_overtrain"))
@click.argument("name")
def fetch_data(name: str) -> None:
    """Get a public study from where it is published.

    It is kept in the cache, or in the folder that the variable BAYESCALE_DATA names.
    """
    from bayescale import data

    click.echo(f"{name} is in {data.fetch(name)}")


@data.command(
    "check", epilog=examples("bayescale data check runs.csv", "bayescale data check runs.csv --factor corpus")
)
@click.argument("runs")
@reading
@as_json
def check_data(runs: str, as_json: bool, **options: Any) -> None:
    """Say what is recognised in a table, or what is wrong with it.

    RUNS is a file (CSV, TSV, JSON lines or Parquet).
    """
    table = arguments.table_of(runs, **options)
    if as_json:
        return print_json(
            {"runs": len(table), "notes": table.notes, "factors": table.levels, "hash": table.hash}
        )
    for note in table.notes:
        click.echo(f"note: {note}")
    click.echo(table.describe())


@main.command(
    epilog=examples("bayescale demo", "bayescale demo -o elsewhere --seed 1", "bayescale demo --tasks")
)
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False),
    default="bayescale-demo",
    show_default=True,
    help="Folder of the fit, its figure and its report.",
)
@click.option("--tasks", is_flag=True, help="Of task success: a suite with a law beside one without.")
@seed
@as_json
def demo(output: str, tasks: bool, seed: int, as_json: bool) -> None:
    """Fit a law to thirty published models, and show what it says.

    A forecast of a larger model, the split of a budget, and a report, in about a minute.
    """
    if tasks:
        from bayescale.demo_of_tasks import run as run_tasks

        return run_tasks(Path(output), seed, as_json=as_json)
    from bayescale.demo import run

    run(Path(output), seed, as_json=as_json)


for verb in (
    *(fit, check, bootstrap, compare, backtest, relevance, predict),
    *(allocate, target, gain, design, isoflop, tasks, simulate, calibrate, plot, report),
):
    main.add_command(verb)
