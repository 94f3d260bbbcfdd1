"""What is no table of runs is refused, with one line that says where and why."""

import gzip
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bayescale import readers
from bayescale.runs import Runs
from tests.tables import GOOD, table

CASES = tomllib.loads((Path(__file__).parent / "malformed" / "cases.toml").read_text())


@pytest.mark.parametrize("name", CASES)
def test_malformed_file_is_refused_with_its_message(name, tmp_path, monkeypatch):
    case = CASES[name]
    monkeypatch.chdir(tmp_path)
    path = Path(case["file"])
    if case.get("folder"):
        path.mkdir()
    elif "hex" in case:
        path.write_bytes(bytes.fromhex(case["hex"]))
    elif "text" in case:
        content = case["text"].encode()
        path.write_bytes(gzip.compress(content) if case.get("gzip") else content)
    options = case.get("options", {})
    read = Runs.read_csv if "separator" in options else Runs.read
    kind = {"FileNotFoundError": FileNotFoundError, "IsADirectoryError": IsADirectoryError}
    with pytest.raises(kind.get(case.get("error"), ValueError)) as error:
        read(path, **options)
    assert str(error.value).startswith(case["message"])
    assert "\n" not in str(error.value)
    assert "\x1b" not in str(error.value)


@pytest.mark.parametrize(
    ("given_columns", "options", "error", "message"),
    [
        ([1, 2], {}, TypeError, "expected a mapping from names to arrays, not list; for a data frame"),
        ({}, {}, ValueError, "table has no columns"),
        ({3: [1.0]}, {}, TypeError, "table: a column is named 3; names are text"),
        (table(loss=[3.0, 2.0]), {}, ValueError, "table: the columns differ in length: N 3, D 3, loss 2"),
        (
            table(D=[[1.0], [2.0], [3.0]]),
            {},
            ValueError,
            "table: column D is of shape (3, 1); expected (runs,)",
        ),
        (table(D=3e9), {}, ValueError, "table: column D is of shape (); expected (runs,)"),
        (table(D=[[1], [2, 3], [4]]), {}, ValueError, "table: column D is not an array, (runs,)"),
        (table(D=np.ones(3, complex)), {}, TypeError, "table: column D is of complex128; expected numbers"),
        (table(D=np.ones(3, bool)), {}, TypeError, "table: column D is of bool; expected numbers"),
        (table(D=[1e9, None, 3e9]), {}, TypeError, "table: column D is of object; expected numbers"),
        (table(D=[b"1", b"2", b"3"]), {}, TypeError, "table: column D is of |S1; expected numbers"),
        (table(D=[1e9, np.nan, 3e9]), {}, ValueError, "table, row 2: column D is nan; D, training tokens"),
        ({"N": [], "loss": []}, {}, ValueError, "table: there are no runs; a law needs several"),
        (table(), {"source": "grid", "where": "N > 1e8"}, ValueError, "grid: there is one run"),
        (table(), {"factors": "N"}, TypeError, "factors is 'N'; it is a list of columns, as ['N']"),
        (table(), {"where": 3}, TypeError, "where is 3; it is text, as 'step >= 1000'"),
        (table(), {"names": "N=D"}, TypeError, "names is 'N=D'; it is a mapping from names to columns"),
    ],
)
def test_arrays_that_are_no_table_are_refused(given_columns, options, error, message):
    with pytest.raises(error) as raised:
        Runs.make(given_columns, **options)
    assert str(raised.value).startswith(message)


def test_frame_that_is_none_is_refused():
    with pytest.raises(TypeError, match=r"expected a pandas, polars or Arrow table, not dict; .* Runs\.make"):
        Runs.from_table(table())
    with pytest.raises(ValueError, match=r"table: .*unique"):
        Runs.from_table(pd.DataFrame([[1.0, 2.0]], columns=["N", "N"]))


def test_parquet_without_a_reader_says_what_to_install(tmp_path, monkeypatch):
    path = tmp_path / "runs.parquet"
    path.write_bytes(b"PAR1")
    monkeypatch.setattr(readers.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="Parquet needs pyarrow or polars; install one"):
        Runs.read(path)


@pytest.mark.parametrize("mask", [[0, 1, 2], [True, False], [[True], [True], [False]]])
def test_subset_refuses_what_is_no_mask(mask):
    with pytest.raises(ValueError, match=r"the mask is .*; expected bool \(3,\)"):
        Runs.make(table()).subset(mask)


def test_subset_refuses_to_leave_nothing():
    with pytest.raises(ValueError, match="the mask leaves none of 3 runs"):
        Runs.make(table()).subset([False, False, False])


@settings(max_examples=300, deadline=None, derandomize=True)
@given(data=st.data(), ending=st.sampled_from(["csv", "csv.gz", "tsv", "jsonl"]))
def test_no_bytes_raise_anything_else(data, ending, tmp_path_factory):
    good = GOOD.encode() if "json" not in ending else b'{"N": 1e9, "loss": 3}\n{"N": 2e9, "loss": 2}\n'
    if data.draw(st.booleans()):
        content = data.draw(st.binary(max_size=80))
    else:
        start = data.draw(st.integers(0, len(good)))
        length = data.draw(st.integers(0, 20))
        content = good[:start] + data.draw(st.binary(max_size=12)) + good[start + length :]
    path = tmp_path_factory.getbasetemp() / f"mutated.{ending}"
    path.write_bytes(gzip.compress(content) if ending.endswith("gz") else content)
    try:
        runs = Runs.read(path, factors=data.draw(st.sampled_from([(), ("size",), ("family",), ("params",)])))
    except (ValueError, KeyError, TypeError, OSError):
        return
    assert np.isfinite(runs.response).all()
    assert all(np.isfinite(values).all() for values in runs.columns.values())
