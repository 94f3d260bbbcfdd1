"""Factors: the columns that group runs, and the groups of one size."""

from collections.abc import Iterable, Mapping

import numpy as np

from bayescale.columns import grouping, labels
from bayescale.table import HIDDEN, Table, named, text_of

Factor = tuple[np.ndarray, tuple[str, ...]]  # the index of the level of each run, (runs,), and the levels


def find_factors(
    table: Table, own: Mapping[str, str], columns: Mapping[str, np.ndarray], requested: Iterable[str]
) -> tuple[dict[str, Factor], set[str], list[str]]:
    """The factors asked for, and those that a table has by custom.

    Args:
        table: the table, for its cells.
        own: the name that each column of the table goes by.
        columns: the covariates, (runs,), for factors made of them.
        requested: the factors asked for.

    Returns:
        The factors, the columns of the table that they were read from, and what to say of it.

    Raises:
        ValueError: a factor that is asked for is not in the table, has an empty cell, or has one level.
    """
    found, sources, notes = {}, set(), []
    for name in requested:
        column = _column(name, own)
        if name in columns:
            found[name] = _levels(columns[name])
        elif column is not None:
            found[name] = _levels(_text(table, column))
            sources.add(column)
        elif name == "size" and "N" in columns:
            found[name], note = sizes(columns["N"])
            notes.append(note)
        else:
            raise ValueError(
                f"{table.source}: there is no column {name!r} for a factor; "
                f"the columns are {named(*table.columns)}"
            )
        if len(found[name][1]) == 1:
            raise ValueError(
                f"{table.source}: factor {named(name)} has one level, {named(*found[name][1])}; "
                "a factor tells runs apart, so leave it out of factors"
            )
    # Where two columns make one factor, the one that bears its name does.
    for column in sorted(own, key=lambda column: own[column] != grouping(own[column])):
        name = grouping(own[column])
        if name is None or name in found or column in sources or not _groups(table, column):
            continue
        found[name] = _levels(_text(table, column))
        sources.add(column)
        notes.append(f"{named(column)} read as factor {name}, {len(found[name][1])} levels")
    if "size" not in found and "N" in columns and _repeats(columns["N"]) >= 0.5:
        found["size"], note = sizes(columns["N"])
        notes.append(note)
    return found, sources, notes


def _column(name: str, own: Mapping[str, str]) -> str | None:
    exact = [column for column, alias in own.items() if alias == name]
    alike = [column for column, alias in own.items() if grouping(alias) == name]
    return next(iter(exact + alike), None)


def _text(table: Table, column: str) -> np.ndarray:
    empty = table.empty(column)
    if empty.any():
        table.refuse(empty, column, "each run has a level of a factor; fill it in, or leave the rows out")
    cells = table.columns[column]
    hidden = np.array([isinstance(cell, str) and HIDDEN.search(cell.strip()) is not None for cell in cells])
    if hidden.any():
        table.refuse(
            hidden, column, "names have no control characters, which could rewrite a terminal; take them out"
        )
    text = text_of if cells.dtype == np.float64 else str.strip
    return np.array([text(cell) for cell in cells.tolist()], dtype=object)


def _groups(table: Table, column: str) -> bool:
    """Whether a column has levels that some runs share, and more than one."""
    cells = table.columns[column]
    if table.empty(column).any() or (cells.dtype == np.float64 and (cells != np.rint(cells)).any()):
        return False
    return 1 < len(set(cells)) < len(cells)


def _levels(cells: np.ndarray) -> Factor:
    """The levels in the order in which they first appear."""
    place = {cell: index for index, cell in enumerate(dict.fromkeys(cells.tolist()))}
    index = np.array([place[cell] for cell in cells.tolist()], dtype=np.int32)
    distinct = tuple(place)
    return index, distinct if cells.dtype == object else labels(np.array(distinct))


def _repeats(sizes: np.ndarray) -> float:
    """The share of the runs whose size is that of another run too."""
    _, inverse, counts = np.unique(sizes, return_inverse=True, return_counts=True)
    return float(np.mean(counts[inverse] > 1)) if len(counts) > 1 else 0.0


def sizes(values: np.ndarray) -> tuple[Factor, str]:
    """The groups of one size: of one N, or of nearly one where fewer than four fifths of the runs share theirs.

    Sizes read off a figure are the same to within a pixel: 70% of the Chinchilla points coincide exactly.
    """
    exact, rounded = _levels(values), _levels(np.exp(np.round(np.log(values), 1)))
    if _repeats(values) >= 0.8 or len(exact[1]) == len(rounded[1]):
        return exact, f"factor size: {len(exact[1])} levels, the values of N"
    said = f"factor size: {len(rounded[1])} levels, of equal ln N rounded to 0.1, as N is not quite the same"
    return rounded, said
