"""The verb that checks: `bayescale check`, of tables before a fit and of fits after it."""

from typing import Any

import click

from bayescale import arguments
from bayescale.options import along, as_json, csv_of, examples, reading, seed
from bayescale.printed import print_json, write_csv

FIT = ".nc"  # what a file of a fit ends in
COLUMNS = ("code", "severity", "number", "message", "action")


@click.command(
    epilog=examples(
        "bayescale check runs.csv --law chinchilla",
        "bayescale check fit.nc",
        "bayescale check fit.nc --csv found.csv",
    )
)
@click.argument("files", metavar="RUNS|FIT...", nargs=-1, required=True)
@click.option("--law", help="The law that tables are meant for; or the file of the law of a fit.")
@along
@seed
@reading
@csv_of("the findings")
@as_json
def check(
    files: tuple[str, ...],
    law: str | None,
    along: str | None,
    seed: int,
    csv: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Say what a careful statistician would of a table, or of a fit.

    RUNS is a table, a file or the name of a data set, and FIT what `bayescale fit` wrote (.nc). Of a table: whether
    its design can teach a law, and whether columns are what they are taken for. Of a fit all that, what its draws
    tell, and what it would be without the ends of the design or resampled by groups.
    """
    from bayescale import words

    of_fit = [file for file in files if file.endswith(FIT)]
    if law is not None and of_fit and not law.endswith(".py"):
        raise ValueError(
            f"--law {law}: {of_fit[0]} has its law; a name is for tables, and a file for the fit of a law of your own"
        )
    found = {file: _of(file, law, along, seed, options) for file in files}
    if csv:
        rows = [(file, *(getattr(one, c) for c in COLUMNS)) for file, every in found.items() for one in every]
        write_csv(csv, ["file", *COLUMNS], rows)
    if as_json:
        checked = [{"file": file, "findings": words.of_findings(every)} for file, every in found.items()]
        return print_json({"checked": checked})
    for file, every in found.items():
        click.secho(file, bold=True)
        for finding in every:
            click.echo(f"  {finding}")
        if not every:
            click.echo("  nothing found")
    if csv:
        click.echo(f"the table is in {csv}")


def _of(file: str, law: str | None, along: str | None, seed: int, options: dict[str, Any]):
    """The findings of a table or of a fit."""
    if file.endswith(FIT):
        import jax

        from bayescale.check.of_refits import all_findings

        own = arguments.law_of(law) if law else None
        return all_findings(jax.random.key(seed), arguments.fit_in(file, own))
    from bayescale.check.of_runs import findings_of_runs

    meant = arguments.placed(law, along) if law else None
    return findings_of_runs(arguments.table_of(file, **options), meant)
