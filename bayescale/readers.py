"""Reading files, data frames and arrays into a Table; what is wrong with the file itself is said here."""

import csv
import gzip
import importlib.util
import io
import json
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from bayescale.columns import number
from bayescale.table import Table, named, shown, text_of

# What other kinds of file begin with.
_FOREIGN = {
    b"PAR1": "a Parquet file; name it .parquet and use Runs.read",
    b"\x1f\x8b": "a gzip file; name it .csv.gz",
    b"PK\x03\x04": "a zip archive or a spreadsheet; save the sheet as CSV",
    b"\xff\xfe": "text in UTF-16; save it as UTF-8",
    b"\xfe\xff": "text in UTF-16; save it as UTF-8",
}


def _cells(values: Sequence[str]) -> np.ndarray:
    """A column as float64 where every cell is a plain number, as text otherwise."""
    try:
        return np.array(values, dtype=np.float64)
    except ValueError:
        return np.array(values, dtype=object)


def _content(path: Path) -> bytes:
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; give the file in it")
    if not path.exists():
        raise FileNotFoundError(f"{path}: there is no such file")
    content = path.read_bytes()
    if path.suffix.lower() != ".gz":
        return content
    try:
        return gzip.decompress(content)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(
            f"{path} is not whole gzip data ({error}); name it .csv if it is plain text, or copy it again"
        ) from None


def _text(path: Path) -> str:
    content = _content(path)
    if not content.strip():
        raise ValueError(f"{path} is empty; a table has a row of column names, then one row for each run")
    for start, kind in _FOREIGN.items():
        if content.startswith(start):
            raise ValueError(f"{path} is {kind}")
    if b"\0" in content:
        raise ValueError(f"{path} is a binary file; expected text with comma-separated columns")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        row = 1 + content.count(b"\n", 0, error.start)
        found = f"{path}, row {row}: byte {content[error.start]:#04x} is not UTF-8"
        raise ValueError(f"{found}; save the file as UTF-8") from None


def from_file(path: str | Path) -> Table:
    """The table in a file, by its ending."""
    name = Path(path).name.lower()
    match name.removesuffix(".gz").rpartition(".")[2]:
        case "csv":
            return from_csv(path)
        case "tsv":
            return from_csv(path, separator="\t")
        case "jsonl" | "ndjson":
            return from_json_lines(path)
        case "parquet":
            return from_parquet(path)
    raise ValueError(f"{path}: the ending is not known; it is csv, tsv, jsonl, ndjson or parquet")


def from_csv(path: str | Path, *, separator: str = ",") -> Table:
    """The table in a file of separated values, plain or gzipped; its first row names the columns."""
    path = Path(path)
    if not isinstance(separator, str) or len(separator) != 1 or separator in '"\r\n ':
        raise ValueError(f"separator is {separator!r}; it is one character, as ',' or ';' or '\\t'")
    reader = csv.reader(io.StringIO(_text(path), newline=""), delimiter=separator, strict=True)
    try:
        lines = list(reader)
    except csv.Error as error:
        raise ValueError(f"{path}, line {reader.line_num}: {error}; is a quotation mark left open?") from None
    # Spreadsheets write empty rows around a table; they count as rows and say nothing.
    filled = [row for row, line in enumerate(lines) if any(line)]
    if not filled:
        raise ValueError(f"{path} has empty rows only; a table has a row of column names, then the runs")
    header = [name.strip() for name in lines[filled[0]]]
    _check_header(path, header, separator)
    lines = [lines[row] for row in filled[1:]]
    rows = np.array(filled[1:], dtype=np.int64) + 1
    _check_lengths(path, header, lines, rows)
    notes = () if header[0] else ("the first column has no name and is left out",)
    columns = {
        name: _cells(cells) for name, cells in zip(header, zip(*lines, strict=True), strict=True) if name
    }
    return Table(str(path), columns, rows, thousands=separator != ";", notes=notes)


def _check_header(path: Path, header: list[str], separator: str) -> None:
    if len(header) == 1:
        other = next((s for s in ",;\t|" if s != separator and s in header[0]), None)
        if other:
            raise ValueError(
                f"{path}, row 1: there is one column, {shown(header[0])}; if the columns are separated by "
                f"{other!r}, say separator={other!r} (--separator {other!r})"
            )
    for place, name in enumerate(header, start=1):
        if not name and place > 1:  # the first is the index that data frames write
            raise ValueError(f"{path}, row 1: column {place} has no name; name it, or remove the column")
    repeated = [name for name, times in Counter(header).items() if times > 1]
    if repeated:
        name = repeated[0]
        places = [str(place) for place, other in enumerate(header, start=1) if other == name]
        raise ValueError(
            f"{path}, row 1: columns {' and '.join(places)} are both named {shown(name)}; rename one"
        )
    if all(number(name) is not None for name in header):
        raise ValueError(
            f"{path}, row 1: there are numbers, {shown(header[0])} first; the first row names the columns"
        )


def _check_lengths(path: Path, header: list[str], lines: list[list[str]], rows: np.ndarray) -> None:
    if not lines:
        raise ValueError(f"{path} has a row of column names and no runs below it")
    other = next((place for place, line in enumerate(lines) if len(line) != len(header)), None)
    if other is not None:
        cells = len(lines[other])
        advice = "quote numbers such as 1,000" if cells > len(header) else "are there cells missing?"
        raise ValueError(
            f"{path}, row {rows[other]}: it has {cells} cells and row 1 names {len(header)} columns; {advice}"
        )


def from_json_lines(path: str | Path) -> Table:
    """The table in a file with one JSON object for each run, on a line of its own."""
    path = Path(path)
    records, rows = [], []
    for row, line in enumerate(_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            # As floats: an integer of any size is a number like another.
            record = json.loads(line, parse_int=float)
        except (ValueError, RecursionError) as error:
            raise ValueError(
                f"{path}, row {row}: {shown(line)} is not JSON ({error}); each row is one object"
            ) from None
        if not isinstance(record, dict):
            raise ValueError(
                f'{path}, row {row}: {shown(line)} is not an object, as {{"N": 7e9, "loss": 2.1}}'
            )
        records.append(record)
        rows.append(row)
    names = dict.fromkeys(name for record in records for name in record)
    columns = {name: _cells([_json_text(record.get(name)) for record in records]) for name in names}
    return Table(str(path), columns, np.array(rows))


def _json_text(value: object) -> str:
    if value is None:
        return ""
    return text_of(value) if isinstance(value, float) else str(value)


def from_parquet(path: str | Path) -> Table:
    """The table in a Parquet file, read by whichever of pyarrow and polars is installed."""
    import narwhals as nw

    path = Path(path)
    if not _content(path).startswith(b"PAR1"):
        raise ValueError(f"{path} is not a Parquet file; name it after what it is, as .csv")
    backend: Any = next((name for name in ("pyarrow", "polars") if importlib.util.find_spec(name)), None)
    if backend is None:
        raise ValueError(f"{path}: Parquet needs pyarrow or polars; install one, as pip install pyarrow")
    try:
        frame = nw.read_parquet(str(path), backend=backend)
    except Exception as error:  # each backend has exceptions of its own
        raise ValueError(f"{path} cannot be read as Parquet: {shown(error)}; write it again") from None
    return from_frame(frame, source=str(path))


def from_frame(frame: Any, *, source: str = "table") -> Table:
    """The table in a pandas, polars or Arrow table, or in any other that narwhals knows."""
    import narwhals as nw

    try:
        frame = nw.from_native(frame)
    except TypeError:
        raise TypeError(
            f"expected a pandas, polars or Arrow table, not {type(frame).__name__}; "
            "for a mapping of arrays use Runs.make"
        ) from None
    except nw.exceptions.NarwhalsError as error:
        raise ValueError(f"{source}: {error}") from None
    frame = frame.collect() if isinstance(frame, nw.LazyFrame) else frame
    columns = {}
    for name in frame.columns:
        series = frame[name]
        if series.dtype.is_numeric():
            columns[str(name)] = series.cast(nw.Float64).to_numpy().astype(np.float64)
        else:
            empty = series.is_null().to_list()
            columns[str(name)] = _cells(
                ["" if e else str(v) for e, v in zip(empty, series.to_list(), strict=True)]
            )
    return Table(source, columns, np.arange(1, len(frame) + 1))


def from_arrays(columns: Mapping[str, ArrayLike], *, source: str = "table") -> Table:
    """The table in a mapping from names to arrays, each (runs,), of numbers or of text."""
    if not isinstance(columns, Mapping):
        raise TypeError(
            f"expected a mapping from names to arrays, not {type(columns).__name__}; "
            "for a data frame use Runs.from_table"
        )
    if not columns:
        raise ValueError(f"{source} has no columns")
    cells = {name: _array(name, values, source) for name, values in columns.items()}
    lengths = {name: len(values) for name, values in cells.items()}
    if len(set(lengths.values())) > 1:
        each = ", ".join(f"{named(name)} {length}" for name, length in lengths.items())
        raise ValueError(f"{source}: the columns differ in length: {each}")
    return Table(source, cells, np.arange(1, next(iter(lengths.values())) + 1))


def _array(name: str, values: ArrayLike, source: str) -> np.ndarray:
    if not isinstance(name, str):
        raise TypeError(f"{source}: a column is named {name!r}; names are text")
    try:
        array = np.asarray(values)
    except ValueError:
        raise ValueError(
            f"{source}: column {name} is not an array, (runs,); its parts differ in length"
        ) from None
    if array.ndim != 1:
        raise ValueError(f"{source}: column {name} is of shape {array.shape}; expected (runs,)")
    # Whole numbers of Python that 64 bits do not hold, or that come beside other things, are objects.
    whole = array.dtype == object and all(
        isinstance(v, int | float | np.integer | np.floating) and not isinstance(v, bool) for v in array
    )
    if array.dtype.kind in "iuf" or whole:
        return array.astype(np.float64)
    if array.dtype.kind in "UT" or (array.dtype == object and all(isinstance(v, str) for v in array)):
        return array.astype(object)
    raise TypeError(
        f"{source}: column {name} is of {array.dtype}; expected numbers or text, as from astype(float)"
    )
