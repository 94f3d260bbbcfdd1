"""What the command line prints: tables, JSON and fits."""

import csv
import json
import math
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import click


def print_json(value: dict) -> None:
    """Print JSON, with null for what is not known."""
    from bayescale.words import plain

    click.echo(json.dumps(plain(value), indent=2, allow_nan=False, default=str))


def print_table(headings: list[str], rows: list[tuple], title: str | None = None) -> None:
    """Print a table, the first column to the left and the others to the right."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left", box=None, header_style="bold", pad_edge=False)
    for i, heading in enumerate(headings):
        table.add_column(heading, justify="left" if i == 0 else "right", overflow="fold")
    for row in rows:
        table.add_row(*(Text(str(cell)) for cell in row))
    Console(width=None if sys.stdout.isatty() else 140).print(table)


def write_csv(file: str | Path, headings: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a table as comma-separated values, numbers in full; infinite ones as inf, what is not known as nothing.

    Raises:
        FileNotFoundError: there is no such folder.
    """
    path = Path(file)
    if not path.absolute().parent.is_dir():
        raise FileNotFoundError(f"{path}: there is no folder {path.absolute().parent}")
    with path.open("w", newline="", encoding="utf-8") as opened:
        writer = csv.writer(opened, lineterminator="\n")
        writer.writerow(headings)
        writer.writerows([_cell(value) for value in row] for row in rows)


def _cell(value: Any) -> Any:
    unknown = value is None or (isinstance(value, float) and math.isnan(value))
    return "" if unknown else value


def show(found, findings) -> None:
    """Print a fit: its summary, its findings and its verdict."""
    from bayescale.summary import HEADINGS

    summary = found.summary()
    print_table(list(HEADINGS), summary.cells(), title=summary.title)
    for finding in findings:
        click.echo(str(finding))
    click.secho(summary.verdict, bold=True, fg=None if found.converged else "red")
