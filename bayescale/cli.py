"""The command line: parses, calls, prints; no statistics.

Only Click is imported here; each verb imports what it needs, so that help and mistakes cost nothing.
"""

import gc
from pathlib import Path
from typing import Any

import click

from bayescale import arguments
from bayescale.options import as_json, reading, seed
from bayescale.printed import print_json, print_table
from bayescale.verbs import fit, predict
from bayescale.verbs_of_checks import check
from bayescale.verbs_of_comparisons import backtest, compare, relevance
from bayescale.verbs_of_decisions import allocate, gain, target
from bayescale.verbs_of_design import design, isoflop
from bayescale.verbs_of_plots import plot
from bayescale.verbs_of_reports import report
from bayescale.verbs_of_simulations import calibrate, simulate
from bayescale.verbs_of_studies import bootstrap


class _Group(click.Group):
    """Says what is wrong with the input in one line, and exits with 2."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (ValueError, KeyError, TypeError, OSError) as error:
            # An OSError of ours has a sentence; one of the system's has a number and a file.
            text = str(error) if isinstance(error, OSError) else str(error.args[0] if error.args else error)
            click.echo(f"bayescale: {text}", err=True)
            ctx.exit(2)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="bayescale")
def main() -> None:
    """Fit scaling laws with uncertainty."""
    # Tracing makes millions of objects and hardly any rubbish; looking for it so often takes a tenth of the time.
    gc.set_threshold(500_000)


@main.command()
@click.argument("name", required=False)
@as_json
def laws(name: str | None, as_json: bool) -> None:
    """List the laws, or describe one."""
    from bayescale import words

    if name is None:
        found = words.laws()
        return (
            print_json({"laws": found})
            if as_json
            else print_table(
                ["law", "response", "in", "parameters", "formula"],
                [(e["name"], e["response"], e["covariates"], e["parameters"], e["formula"]) for e in found],
            )
        )
    one = words.law(arguments.law_of(name))
    return print_json(one) if as_json else click.echo(words.describe(one))


@main.group(invoke_without_command=True)
@click.pass_context
@as_json
def data(ctx: click.Context, as_json: bool) -> None:
    """List, describe, check and fetch data."""
    if ctx.invoked_subcommand is None:
        from bayescale import data

        found = [{"name": n, **data.describe(n)} for n in data.names()]
        if as_json:
            return print_json({"data": found})
        print_table(
            ["name", "rows", "licence", "title"],
            [(e["name"], e["rows"], e["licence"], e["title"]) for e in found],
        )


@data.command("show")
@click.argument("name")
@as_json
def show_data(name: str, as_json: bool) -> None:
    """Describe a data set: source, licence, units, and how its rows were obtained."""
    from bayescale import data

    entry = {"name": name, **data.describe(name)}
    if as_json:
        return print_json(entry)
    for field, value in entry.items():
        click.echo(f"{field:<11} {value}")


@data.command("fetch")
@click.argument("name")
def fetch_data(name: str) -> None:
    """Get a public study from its repository into the cache, or into BAYESCALE_DATA."""
    from bayescale import data

    click.echo(f"{name} is in {data.fetch(name)}")


@data.command("check")
@click.argument("runs")
@reading
@as_json
def check_data(runs: str, as_json: bool, **options: Any) -> None:
    """Read a table and say what was recognised, or what is wrong with it."""
    table = arguments.table_of(runs, **options)
    if as_json:
        return print_json(
            {"runs": len(table), "notes": table.notes, "factors": table.levels, "hash": table.hash}
        )
    for note in table.notes:
        click.echo(f"note: {note}")
    click.echo(table.describe())


@main.command()
@click.option("-o", "--output", type=click.Path(file_okay=False), default="bayescale-demo", show_default=True)
@seed
@as_json
def demo(output: str, seed: int, as_json: bool) -> None:
    """Fit a hierarchical law to the table of published models, and show what it says."""
    from bayescale.demo import run

    run(Path(output), seed, as_json=as_json)


for verb in (
    *(fit, check, bootstrap, compare, backtest, relevance, predict),
    *(allocate, target, gain, design, isoflop, simulate, calibrate, plot, report),
):
    main.add_command(verb)
