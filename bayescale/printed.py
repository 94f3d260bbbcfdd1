"""What the command line prints: tables, JSON and fits."""

import csv
import io
import json
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click

from bayescale import files

FORMULAS = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet would run; text that begins so gets a quote


def afterwards(write: Callable[..., None], *given: Any, **named: Any) -> None:
    """Write files once the verb has printed what it found, which is not lost then where there is no room for files."""
    click.get_current_context().call_on_close(partial(write, *given, **named))


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
        OSError: it cannot be written.
    """
    files.put(file, _separated(headings, rows))


def write_rows(file: str | Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows as they are in JSON: {"low": {"value": 1}} is 1 in the column low.value, and a list is one cell.

    Raises:
        OSError: it cannot be written.
    """
    write_csv(file, *_columns(rows))


def as_text(rows: Iterable[Mapping[str, Any]]) -> str:
    """What `write_rows` writes."""
    return _separated(*_columns(rows))


def _separated(headings: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(headings)
    writer.writerows([_cell(value) for value in row] for row in rows)
    return text.getvalue()


def _columns(rows: Iterable[Mapping[str, Any]]) -> tuple[list[str], list[list[Any]]]:
    """The names of all columns, and the rows in their order."""
    flat = [dict(_flat(row)) for row in rows]
    headings = list(dict.fromkeys(name for row in flat for name in row))
    return headings, [[row.get(name) for name in headings] for row in flat]


def _flat(row: Mapping[str, Any], within: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in row.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{within}{name}.")
        else:
            yield f"{within}{name}", "; ".join(map(str, value)) if isinstance(value, list | tuple) else value


def _cell(value: Any) -> Any:
    unknown = value is None or (isinstance(value, float) and math.isnan(value))
    if isinstance(value, str) and len(value) > 1 and value.startswith(FORMULAS):
        return f"'{value}"
    return "" if unknown else value


def show(found, findings) -> None:
    """Print a fit: its summary, its findings and its verdict."""
    from bayescale.summary import HEADINGS

    summary = found.summary()
    print_table(list(HEADINGS), summary.cells(), title=summary.title)
    for finding in findings:
        click.echo(str(finding))
    click.secho(summary.verdict, bold=True, fg=None if found.converged else "red")
