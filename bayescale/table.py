"""Table: columns of text and numbers, before anyone asks what they mean."""

import re
from dataclasses import dataclass, replace
from typing import NoReturn

import numpy as np

from bayescale.columns import missing, number, numbers, years

_COMPARISONS = {
    "=": np.equal,
    "==": np.equal,
    "!=": np.not_equal,
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
}
# What a terminal would obey rather than show: control characters, and those that turn the direction of text.
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
# In names not even ends of lines, which could forge one, and no marks of direction.
HIDDEN = re.compile(CONTROL.pattern[:-1] + r"\t\n\u061c\u200e\u200f\u2028\u2029]")
_CONDITION = re.compile(r"\s*(.+?)\s*(!=|<=|>=|==|=|<|>)\s*(.*?)\s*")


@dataclass(frozen=True, eq=False)
class Table:
    """Columns of cells, all of one length.

    Attributes:
        source: the file or data set, for messages.
        columns: name -> cells, (runs,): float64, or text as object.
        rows: the row of each run as a spreadsheet counts them, (runs,).
        thousands: whether "1,000" is a thousand; between semicolons it may be 1 with a decimal comma.
        notes: what was left out in reading.
    """

    source: str
    columns: dict[str, np.ndarray]
    rows: np.ndarray
    thousands: bool = True
    notes: tuple[str, ...] = ()

    def __post_init__(self):
        object.__setattr__(self, "source", printable(self.source))
        for place, name in enumerate(self.columns, start=1):
            if HIDDEN.search(name):
                raise ValueError(
                    f"{self.source}: column {place} is named '{printable(name)}', with control characters, which "
                    "could rewrite a terminal; rename it"
                )

    def __len__(self) -> int:
        return len(self.rows)

    def keep(self, mask: np.ndarray) -> "Table":
        """The rows where `mask` is true."""
        columns = {name: cells[mask] for name, cells in self.columns.items()}
        return replace(self, columns=columns, rows=self.rows[mask])

    def numbers(self, column: str, *, thousands: bool = True) -> np.ndarray:
        """The numbers of a column, (runs,); nan where a cell is none."""
        return numbers(self.columns[column], thousands=thousands and self.thousands)

    def dates(self, column: str) -> np.ndarray:
        """The numbers of a column, or its dates in years where all cells are dates such as 2024-05-13, (runs,)."""
        cells = self.columns[column]
        found = self.numbers(column)
        return years(cells) if cells.dtype != np.float64 and np.isnan(found).all() else found

    def empty(self, column: str) -> np.ndarray:
        """Where the cells of a column say nothing, (runs,)."""
        cells = self.columns[column]
        if cells.dtype == np.float64:
            return np.isnan(cells)
        return np.array([missing(text) for text in cells])

    def where(self, mask: np.ndarray) -> str:
        """The file and the rows where `mask` is true, for a message.

        >>> Table("a.csv", {}, np.arange(2, 9)).where(np.array([0, 1, 1, 0, 1, 1, 1], bool))
        'a.csv, rows 3, 4, 6 and 2 more'
        """
        rows = [str(row) for row in self.rows[mask][:3]]
        more = int(mask.sum()) - len(rows)
        rows += [f"{more} more"] if more else []
        if len(rows) == 1:
            return f"{self.source}, row {rows[0]}"
        return f"{self.source}, rows {', '.join(rows[:-1])} and {rows[-1]}"

    def refuse(self, mask: np.ndarray, column: str, expected: str) -> NoReturn:
        """Say what a column holds where `mask` is true, and what it should.

        Raises:
            ValueError: always.
        """
        found = list(dict.fromkeys(_found(cell) for cell in self.columns[column][mask]))
        found = ", ".join(found[:3]) + (", ..." if len(found) > 3 else "")
        raise ValueError(f"{self.where(mask)}: column {named(column)} is {found}; {expected}")

    def repeated(self) -> np.ndarray:
        """The group of equal rows that each row is in, (runs,); -1 where no other row is the same."""
        kept = np.arange(len(self))
        groups = np.zeros_like(kept)
        # Numbers first: they sort fast, and one column of losses tells most tables' rows apart.
        for cells in sorted(self.columns.values(), key=lambda cells: cells.dtype == object):
            _, codes = np.unique(cells[kept], return_inverse=True)
            _, groups, counts = np.unique(groups * len(self) + codes, return_inverse=True, return_counts=True)
            again = counts[groups] > 1
            kept, groups = kept[again], groups[again]
        found = np.full(len(self), -1)
        found[kept] = groups
        return found

    def satisfies(self, condition: str, columns: dict[str, str]) -> np.ndarray:
        """Where the rows satisfy a condition `column OP value`, (runs,).

        Args:
            condition: OP is one of = != < <= > >=. An empty cell satisfies no comparison but !=.
            columns: the column of this table that each name stands for.

        Raises:
            ValueError: it is no condition, or on a column that is not there, or orders text.
        """
        said = _CONDITION.fullmatch(condition)
        if said is None:
            raise ValueError(
                f"{self.source}: where is {condition!r}; a condition is column OP value, as 'step >= 1000'"
            )
        name, comparison, value = said.groups()
        if name not in columns:
            raise ValueError(f"{self.source}: where names {name!r}; the columns are {named(*self.columns)}")
        value = value.strip("'\"")
        wanted, values = number(value), self.numbers(columns[name])
        if wanted is not None and not np.isnan(values).all():
            return _COMPARISONS[comparison](values, wanted)
        if comparison not in ("=", "==", "!="):
            raise ValueError(
                f"{self.source}: where is {condition!r}, and that compares text; text can be = or !="
            )
        same = np.array([str(cell).strip() == value for cell in self.columns[columns[name]]])
        return ~same if comparison == "!=" else same


def shown(text: object) -> str:
    """Text out of a file as it goes into a message: short, on one line, with nothing a terminal obeys."""
    text = str(text)
    return ascii(text if len(text) <= 40 else text[:37] + "...")


def named(*columns: str) -> str:
    """Columns as they go into a message: bare where that is safe and clear."""
    return ", ".join(c if c.isprintable() and 0 < len(c) <= 60 else shown(c) for c in columns)


def text_of(value: float) -> str:
    """A number of a table as text, whole and the same whatever kind of file it came from."""
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(float(value))


def printable(text: str) -> str:
    r"""Text as a terminal shows it and does not obey it.

    >>> print(printable("a" + chr(27) + "b"))
    a\x1bb
    """
    return CONTROL.sub(lambda found: found.group().encode("unicode_escape").decode(), text)


def _found(cell: float | str) -> str:
    if not isinstance(cell, str):
        return text_of(cell)
    if missing(cell):
        return "missing"
    return shown(cell) if number(cell, thousands=False) is None else cell.strip()
