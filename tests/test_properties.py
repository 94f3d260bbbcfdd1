"""What holds of any table and any argument, and not of examples alone: tables and command lines by Hypothesis."""

import contextlib
import csv
import math
from decimal import Decimal
from pathlib import Path

import numpy as np
from click.testing import CliRunner
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from bayescale import models
from bayescale.check.published import published
from bayescale.cli import main
from bayescale.decide.allocate import compute_optimal
from bayescale.decide.invert import compute_for
from bayescale.runs import Runs

MANY = settings(max_examples=200, deadline=None, derandomize=True)
FEW = settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
NUMBER = ("N", "D", "loss")
SCALES = {"": 0, "K": 3, "M": 6, "b": 9, "B": 9, " B": 9, "T": 12, "e9": 9, "E+06": 6}
# Text that a CSV file can hold; what is a number, a missing cell or a condition is of its own.
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0\r\n"), max_size=12)
LABEL = st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=8)


@st.composite
def cells(draw):
    """A positive number as people write it, and its value."""
    digits, scale = draw(st.integers(1, 9_999)), draw(st.sampled_from(list(SCALES)))
    point = draw(st.integers(0, 3))
    said = Decimal(digits).scaleb(-point)
    plain = f"{said:,}" if scale == "" and draw(st.booleans()) else f"{said:f}"
    return plain + scale, float(said.scaleb(SCALES[scale]))


@st.composite
def tables(draw):
    """Rows of N, D and loss as text, their values, and a factor."""
    rows = draw(
        st.lists(
            st.tuples(cells(), cells(), st.integers(1, 9_999), LABEL),
            min_size=2,
            max_size=8,
            unique_by=lambda row: (row[0][1], row[1][1]),
        )
    )
    values = np.array([[n[1], d[1], loss / 1000] for n, d, loss, _ in rows])
    text = [[n[0], d[0], f"{loss / 1000:.3f}", label] for n, d, loss, label in rows]
    return text, values


def _tried(ask, *arguments):
    """The answer, or why there is none."""
    try:
        return ask(*arguments), ""
    except (ValueError, TypeError) as error:
        return None, str(error)


def _write(path, rows):
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([[*NUMBER, "recipe"], *rows])
    return path


@MANY
@given(table=tables())
def test_what_a_table_says_is_what_is_read(table, tmp_path_factory):
    """Counts below 1 are no parameters and no tokens, and are refused."""
    rows, values = table
    path = _write(tmp_path_factory.getbasetemp() / "read.csv", rows)
    runs, said = _tried(Runs.read, path)
    if runs is None:
        assert "read.csv" in said
        assert (values[:, :2] < 1).any()
        return
    assert (values[:, :2] >= 1).all()
    for k, name in enumerate(("N", "D")):
        np.testing.assert_allclose(np.asarray(runs.columns[name]), values[:, k], rtol=1e-12)
    np.testing.assert_allclose(np.asarray(runs.response), values[:, 2], rtol=1e-12)


def _no_number(text):
    """Whether a cell is surely no positive number: without a digit, or one that is not above 0."""
    return not any(c.isdigit() or c.isnumeric() for c in text)


@MANY
@given(
    table=tables(),
    wrong=st.one_of(
        TEXT.filter(_no_number), st.sampled_from(["nan", "-1", "0", "inf", "-inf", "1e400", "1e9x"])
    ),
    place=st.integers(0, 7),
    column=st.sampled_from(NUMBER),
)
def test_a_cell_that_is_no_number_is_refused_by_row_and_column(table, wrong, place, column, tmp_path_factory):
    rows, values = table
    if (values[:, :2] < 1).any():
        return  # refused for another cell, perhaps
    row = place % len(rows)
    rows[row][NUMBER.index(column)] = wrong
    path = _write(tmp_path_factory.getbasetemp() / "wrong.csv", rows)
    runs, said = _tried(Runs.read, path)
    assert runs is None, f"{column} = {wrong!r} was taken"
    assert "wrong.csv" in said
    assert column in said
    assert f"row {row + 2}" in said, said


ANYTHING = st.one_of(
    TEXT,
    st.sampled_from(
        ["nan", "inf", "-1", "0", "1e400", "1e-400", "7B", "N=", "=", ",", "a=b", "../..", "\x1b[31m", "--"]
    ),
    st.floats().map(str),
    st.integers().map(str),
)
OPTIONS = {
    ("check",): [
        "--law",
        "--along",
        "--response",
        "--factor",
        "--where",
        "--name",
        "--vocabulary",
        "--separator",
    ],
    ("data", "check"): ["--response", "--factor", "--where", "--name", "--vocabulary", "--separator"],
    ("simulate", "runs", "--law", "chinchilla", "-o", "made.csv"): [
        *("--along", "--truth", "--design", "--compute", "--noise", "--sigma", "--nu", "--wider", "--shock"),
        *("--round", "--undertuned", "--break-at", "--ahead", "--seed"),
    ],
    ("simulate", "suite", "-o", "made.csv"): ["--overlap", "--spread", "--slope", "--shock", "--compute"],
}


@FEW
@given(data=st.data())
def test_no_argument_ends_in_a_traceback(data, tmp_path_factory):
    """A verb does what it is asked to, or says in a sentence why not."""
    verb = data.draw(st.sampled_from(list(OPTIONS)))
    typed = list(verb)
    for option in data.draw(st.lists(st.sampled_from(OPTIONS[verb]), max_size=3)):
        typed += [option, data.draw(ANYTHING)]
    with contextlib.chdir(tmp_path_factory.mktemp("typed")):
        Path("runs.csv").write_text(
            "N,D,loss,corpus\n1e8,1e9,3.1,a\n1e9,2e9,2.7,b\n2e9,9e9,2.5,a\n4e9,4e10,2.2,b\n"
        )
        if "check" in verb:
            typed.append(data.draw(st.sampled_from(["runs.csv", "absent.csv", ".", "\x1b[2J.csv"])))
        done = CliRunner().invoke(main, typed)
    assert done.exception is None or isinstance(done.exception, SystemExit), (typed, done.exception)
    assert done.exit_code in (0, 2), (typed, done.output)
    assert "Traceback" not in done.output
    assert "\x1b" not in done.output, (typed, done.output)


@MANY
@given(value=st.one_of(st.floats(), st.integers(), st.just("7B"), st.none()))
@example(value=1e-300)
def test_a_decision_is_made_or_refused(value):
    """No number that is not finite is taken, and none that is not positive; what is taken gets numbers."""
    parameters = {"E": 1.82, "A": 482.0, "B": 2085.0, "alpha": 0.348, "beta": 0.366}
    fit = published(models.load("chinchilla"), parameters)
    for ask in (compute_optimal, compute_for):
        answer, said = _tried(ask, fit, value)
        if answer is None:
            assert len(said) > 10
            continue
        assert math.isfinite(value)
        assert value > 0
        for name, draws in answer.draws.items():
            assert not (np.asarray(draws) < 0).any(), name
