"""Runs: what is recognised, derived and refused, and that it is a value JAX can carry."""

import gzip
import json
import math
import time
import tomllib
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bayescale import columns, readers
from bayescale.runs import Runs

CASES = tomllib.loads((Path(__file__).parent / "malformed" / "cases.toml").read_text())
GOOD = """run_id,params,tokens,family,lr,loss,remark
a,70M,3e9,x,0.1,3.5,first
b,70M,"6,000,000,000",x,0.1,3.25,
c,1.4B,3e9,y,0.2,3,
d,1.4B,0.006T,y,0.2,2.5,last
"""


def write(folder, text, name="runs.csv"):
    path = folder / name
    path.write_text(text)
    return path


def table(**changes):
    return {"N": [1e8, 1e8, 1e9], "D": [1e9, 2e9, 4e9], "loss": [3.0, 2.5, 2.0]} | changes


# What is refused.


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


# What is recognised.


@pytest.mark.parametrize(
    ("spelling", "meaning"),
    [
        *((name, "N") for name in ("N", "n", "params", "Parameters", "n_params", "Num Params", "model-size")),
        *((name, "D") for name in ("D", "tokens", "training_tokens", "nTokens", "Tokens Seen")),
        *((name, "U") for name in ("U", "unique_tokens", "UniqueTokens")),
        *((name, "C") for name in ("C", "flops", "FLOP", "compute", "training_compute", "Train-FLOPs")),
        *(
            (name, "loss")
            for name in ("loss", "Val Loss", "validation_loss", "test_loss", "nll", "cross-entropy")
        ),
        *((name, "success") for name in ("success", "successes", "n_correct", "Correct")),
        *((name, "trials") for name in ("trials", "attempts", "n_items")),
        *((name, None) for name in ("params_no_embed", "params_total", "batch_tokens", "lr", "loss_c4", "")),
    ],
)
def test_spelling(spelling, meaning):
    assert columns.meaning(spelling) == meaning


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("7B", 7e9),
        ("7 b", 7e9),
        (" 350M ", 350e6),
        ("20k", 2e4),
        ("1.4T", 1.4e12),
        ("1.4T tokens", 1.4e12),
        ("1.4 trillion tokens", 1.4e12),
        ("0.07B", 7e7),
        ("5.76e23", 5.76e23),
        ("1_000_000", 1e6),
        ("1_000M", 1e9),
        ("1,000", 1e3),
        ("1 234 567.5", 1234567.5),
        ("6e9 params", None),
        ("12%", None),
        ("1,00", None),
        ("0,125", None),
        ("1e3k", None),
        ("B", None),
        ("", None),
        ("6*7", None),
        ("0x10", None),
    ],
)
def test_number(cell, value):
    assert columns.number(cell) == value


def test_comma_is_no_thousand_where_it_may_be_a_decimal():
    assert columns.number("1,000", thousands=False) is None


@pytest.mark.parametrize(
    ("value", "label"),
    [
        (70426624, "70.4M"),
        (999_999, "1M"),
        (1e9, "1B"),
        (1.4e12, "1.4T"),
        (5.76e23, "5.76e23"),
        (0.003, "0.003"),
    ],
)
def test_label(value, label):
    assert columns.label(value) == label


def test_labels_tell_sizes_apart():
    assert columns.labels(np.array([70_426_624, 70_426_625, 1e9])) == ("70.426624M", "70.426625M", "1B")


def test_table_with_units_text_and_custom_factors(tmp_path):
    runs = Runs.read_csv(write(tmp_path, GOOD))
    assert list(runs.columns) == ["N", "D", "C", "lr"]
    np.testing.assert_array_equal(runs.columns["N"], [7e7, 7e7, 1.4e9, 1.4e9])
    np.testing.assert_array_equal(runs.columns["D"], [3e9, 6e9, 3e9, 6e9])
    np.testing.assert_array_equal(runs.response, [3.5, 3.25, 3, 2.5])
    assert runs.levels == {"family": ("x", "y"), "size": ("70M", "1.4B")}
    np.testing.assert_array_equal(runs.factors["family"], [0, 0, 1, 1])
    assert runs.notes == (
        "params read as N, parameters",
        "tokens read as D, training tokens",
        "C = 6ND is derived: the table has no C",
        "family read as factor family, 2 levels",
        "factor size: 2 levels, the values of N",
        "left out (text): run_id, remark",
    )
    assert (runs.kind, len(runs), runs.source) == ("loss", 4, str(tmp_path / "runs.csv"))


def test_half_empty_covariate_is_left_out_and_said(tmp_path):
    text = "N,D,loss,seed,lr\n1e9,2e10,3,1,0.1\n2e9,4e10,2,,inf\n"
    runs = Runs.read_csv(write(tmp_path, text))
    assert list(runs.columns) == ["N", "D", "C"]
    assert runs.notes[-1] == "left out (with empty cells, or cells that are not numbers): seed, lr"


def test_index_of_a_data_frame_is_left_out(tmp_path):
    path = tmp_path / "runs.csv"
    pd.DataFrame(table()).to_csv(path)
    runs = Runs.read_csv(path)
    assert list(runs.columns) == ["N", "D", "C"]
    assert runs.notes[0] == "the first column has no name and is left out"


def test_byte_order_mark_quoted_newline_and_blank_rows_are_read(tmp_path):
    text = '\ufeffN,D,loss,remark\r\n\r\n1e9,2e10,3,"two\r\nlines"\r\n,,,\r\n2e9,4e10,2,\r\n'
    path = tmp_path / "runs.csv"
    path.write_bytes(text.encode())
    assert len(Runs.read_csv(path)) == 2
    path.write_bytes(text.replace("2e10,3", "2e10,x").encode())
    with pytest.raises(ValueError, match=r"runs\.csv, row 3: column loss is 'x'"):
        Runs.read_csv(path)


def test_exact_loss_wins_over_other_losses():
    runs = Runs.make(table(val_loss=[4.0, 3.0, 2.0]))
    np.testing.assert_array_equal(runs.response, [3, 2.5, 2])
    np.testing.assert_array_equal(runs.columns["val_loss"], [4, 3, 2])
    assert "loss is the response, not val_loss" in runs.notes


def test_response_is_the_column_that_is_named():
    runs = Runs.make(table(loss_c4=[4.0, 3.0, 2.0]), response="loss_c4")
    np.testing.assert_array_equal(runs.response, [4, 3, 2])
    np.testing.assert_array_equal(runs.columns["loss"], [3, 2.5, 2])
    assert "loss_c4 read as the loss, in nats for each token" in runs.notes


def test_names_settle_what_columns_mean():
    given_columns = table(params=[2e8, 2e8, 2e9], total=[3e8, 3e8, 3e9])
    runs = Runs.make(given_columns, names={"N": "total"})
    np.testing.assert_array_equal(runs.columns["N"], given_columns["total"])
    np.testing.assert_array_equal(runs.columns["params"], given_columns["params"])
    assert "left out (names gives its name to another column): N" in runs.notes
    assert "total read as N, parameters" in runs.notes


def test_names_can_say_that_a_column_is_not_what_it_seems():
    runs = Runs.make(
        {"n": [1.0, 2.0], "d": [0.5, 0.25], "loss": [3.0, 2.0]}, names={"count": "n", "delta": "d"}
    )
    assert list(runs.columns) == ["count", "delta"]


def test_successes_and_trials():
    runs = Runs.make(
        {"params": ["1B", "2B"], "n_correct": [3, 5], "n_items": [10, 10], "loss_c4": [3.0, 2.0]}
    )
    assert runs.kind == "success"
    np.testing.assert_array_equal(runs.columns["trials"], [10, 10])
    assert runs.unit == 1
    assert "n_items read as trials, tries at the task" in runs.notes


def test_successes_of_one_trial_each():
    runs = Runs.make({"N": [1e9, 2e9], "success": [0, 1]})
    np.testing.assert_array_equal(runs.columns["trials"], [1, 1])
    assert runs.notes[0].endswith("each run is one trial")


def test_loss_may_be_a_covariate_of_success():
    mixed = {"loss": [3.0, 2.0], "n_correct": [3, 5], "n_items": [10, 10]}
    assert list(Runs.make(mixed, response="success").columns) == ["trials", "loss"]
    assert Runs.make(mixed, response="n_correct").kind == "success"
    assert list(Runs.make(mixed, response="loss").columns) == ["n_correct", "n_items"]


def test_loss_below_that_of_guessing_is_read():
    assert len(Runs.make(table(), vocabulary=50257)) == 3


def test_duplicates_are_kept_where_that_is_said():
    twice = {name: values * 2 for name, values in table().items()}
    with pytest.raises(
        ValueError, match="table, rows 1 and 4: the same in every column; 4 other rows are alike"
    ):
        Runs.make(twice)
    assert len(Runs.make(twice, duplicates="keep")) == 6


@pytest.mark.parametrize(
    ("where", "kept"),
    [
        ("D = 2B", [2, 3]),
        ("D == 2e9", [2, 3]),
        ("tokens >= 2e9", [2, 3, 4]),
        ("D < 4e9, loss > 2", [1, 2]),
        ("tag != a", [2, 3, 4]),
        ("tag = 'b'", [2, 3]),
        ("seed <= 5", [1, 3]),
        ("seed != 1", [2, 3, 4]),
    ],
)
def test_where(where, kept):
    runs = Runs.make(
        {
            "tokens": [1e9, 2e9, 2e9, 4e9],
            "loss": [4, 3, 2, 1],
            "tag": ["a", "b", "b ", "c"],
            "seed": ["1", "", "2", "many"],
            "place": [1, 2, 3, 4],
        },
        where=where,
    )
    np.testing.assert_array_equal(runs.columns["place"], kept)
    assert runs.notes[0] == f"where {where}: {4 - len(kept)} of 4 rows left out"


# What is derived.


def test_compute_of_integers_does_not_wrap_around():
    N, D = np.array([70_000_000_000, 7_000_000_000]), np.array([1_400_000_000_000, 900_000_000_000])
    assert (6 * N * D)[0] != 6 * 70e9 * 1.4e12  # what the cast to float64 prevents
    runs = Runs.make({"N": N, "D": D, "loss": [2.0, 2.1]})
    np.testing.assert_array_equal(runs.columns["C"], [6 * 70e9 * 1.4e12, 6 * 7e9 * 9e11])


@pytest.mark.parametrize(("absent", "note"), [("N", "N = C/(6D)"), ("D", "D = C/(6N)"), ("C", "C = 6ND")])
def test_third_of_three_is_derived_and_said(absent, note):
    whole = {"N": [1e8, 1e9], "D": [2e9, 3e9], "C": [1.2e18, 1.8e19], "loss": [3.0, 2.0]}
    runs = Runs.make({name: values for name, values in whole.items() if name != absent})
    np.testing.assert_allclose(runs.columns[absent], whole[absent], rtol=1e-15)
    assert runs.notes == (f"{note} is derived: the table has no {absent}",)


def test_compute_that_is_not_6nd_is_said():
    N, D = np.array([1e8, 1e9]), np.array([2e9, 3e9])
    assert Runs.make({"N": N, "D": D, "C": 6 * N * D * 1.05, "loss": [3, 2]}).notes == ()
    runs = Runs.make({"N": N, "D": D, "C": 6 * N * D * [1, 0.5], "loss": [3, 2]})
    assert runs.notes == ("C is not 6ND: C/6ND is 0.5 in row 2, the farthest; C is taken as given",)


def test_reference_and_unit():
    runs = Runs.make(table(shift=[-1.0, 0.0, 1.0]))
    assert runs.reference["N"] == pytest.approx(1e25 ** (1 / 3), rel=1e-12)
    np.testing.assert_equal(runs.reference["shift"], np.nan)
    assert runs.unit == 2
    np.testing.assert_array_equal(runs.weight, np.ones(3))


# Factors.


def test_levels_are_in_order_of_appearance():
    runs = Runs.make(table(corpus=["web", "code", "web"]))
    assert runs.levels["corpus"] == ("web", "code")
    np.testing.assert_array_equal(runs.factors["corpus"], [0, 1, 0])


def test_integers_group_runs_where_their_name_does():
    runs = Runs.make(table(run_id=[7, 7, 12], seed=[1, 1, 2]))
    assert runs.levels["run"] == ("7", "12")
    assert "run_id" not in runs.columns
    assert "seed" in runs.columns


def test_column_that_bears_the_name_of_the_factor_is_it():
    runs = Runs.make(table(model_name=["x", "x", "y"], model=["a", "b", "b"]))
    assert runs.levels["model"] == ("a", "b")


def test_factor_is_found_by_custom_and_by_covariate():
    runs = Runs.make(table(run_id=["a", "b", "c"], lr=[0.1, 0.1, 0.2]), factors=["run", "N", "lr"])
    assert runs.levels["run"] == ("a", "b", "c")
    assert runs.levels["N"] == ("100M", "1B")
    assert runs.levels["lr"] == ("0.1", "0.2")
    assert "lr" not in runs.columns


def test_sizes_that_hardly_repeat_are_grouped_when_asked():
    N = [1.00e8, 1.01e8, 5e8, 5.02e8]
    made = {"N": N, "loss": [4.0, 3.0, 2.0, 1.0]}
    assert "size" not in Runs.make(made).factors
    runs = Runs.make(made, factors=["size"])
    np.testing.assert_array_equal(runs.factors["size"], [0, 0, 1, 1])
    assert runs.notes == ("factor size: 2 levels, of equal ln N rounded to 0.1, as N is not quite the same",)


def test_size_column_is_a_factor_when_asked():
    runs = Runs.make(table(size=["small", "big", "big"]), factors=["size"])
    assert runs.levels["size"] == ("small", "big")


def test_chinchilla_points_have_38_sizes(shared_data):
    runs = Runs.read(shared_data / "loss_besiroglu2024_chinchilla.csv", where="in_fit_subset = 1")
    assert (len(runs), len(runs.levels["size"])) == (240, 38)


# Where it comes from, and what it is.


def test_every_door_leads_to_the_same_runs(tmp_path):
    frame = pd.read_csv(write(tmp_path, GOOD))
    rows = frame.astype(object).where(frame.notna(), None).to_dict("records")
    write(tmp_path, "\n".join(json.dumps(row) for row in rows), "runs.jsonl")
    write(tmp_path, frame.to_csv(index=False, sep="\t"), "runs.tsv")
    write(tmp_path, frame.to_csv(index=False, sep=";"), "semicolons.csv")
    frame.to_parquet(tmp_path / "runs.parquet")
    (tmp_path / "runs.csv.gz").write_bytes(gzip.compress(GOOD.encode()))
    found = [Runs.read(tmp_path / f"runs.{end}") for end in ("csv", "csv.gz", "tsv", "jsonl", "parquet")]
    found.append(Runs.from_table(frame))
    found.append(Runs.make({name: frame[name].fillna("").to_list() for name in frame}))
    with pytest.raises(ValueError, match="column tokens is '6,000,000,000'"):
        Runs.read_csv(tmp_path / "semicolons.csv", separator=";")
    assert {runs.hash for runs in found} == {found[0].hash}
    assert all(runs.notes == found[0].notes for runs in found)


@pytest.mark.parametrize("backend", ["pandas nullable", "polars", "pyarrow"])
def test_tables_with_missing_numbers(backend):
    values = {"N": [1_000_000_000, None, 3_000_000_000], "loss": [3.0, 2.5, 2.0]}
    if backend == "pandas nullable":
        frame = pd.DataFrame(values).astype({"N": "Int64"})
    else:
        library = pytest.importorskip(backend)
        frame = library.DataFrame(values) if backend == "polars" else library.table(values)
    with pytest.raises(ValueError, match="table, row 2: column N is nan; N, parameters"):
        Runs.from_table(frame)
    assert len(Runs.from_table(frame, where="N > 0")) == 2


def test_hash_is_of_the_runs_alone(tmp_path):
    runs = Runs.make(table(corpus=["a", "b", "a"]))
    turned = Runs.make(dict(reversed(table(corpus=["a", "b", "a"]).items())), source="other")
    assert runs.hash == turned.hash
    assert len(runs.hash) == 64
    different = [
        Runs.make(table(corpus=["a", "c", "a"])),
        Runs.make(table(corpus=["a", "b", "b"])),
        Runs.make(table(corpus=["a", "b", "a"], loss=[3.0, 2.5, np.nextafter(2.0, 3)])),
        runs.replace(weight=np.array([1.0, 2.0, 1.0])),
        runs.subset([True, True, False]),
    ]
    assert len({runs.hash, *(other.hash for other in different)}) == 6


def test_subset_remakes_reference_unit_and_levels():
    runs = Runs.make(table(corpus=["a", "b", "b"]))
    kept = runs.subset([False, True, True])
    assert kept.reference["D"] == pytest.approx(math.sqrt(8e18))
    assert kept.levels == {"corpus": ("b",), "size": ("100M", "1B")}
    np.testing.assert_array_equal(kept.factors["corpus"], [0, 0])
    assert runs.subset([True, True, False]).unit == 2.5


def test_replace_keeps_reference_and_unit():
    runs = Runs.make(table())
    changed = runs.replace(response=np.array([1.0, 1.0, 1.0]))
    assert changed.unit == runs.unit
    assert changed.reference is runs.reference


def test_jit_and_vmap_carry_runs():
    runs = Runs.make(table(corpus=["a", "b", "b"]))
    back = jax.jit(lambda runs: runs.replace(weight=2 * runs.weight))(runs)
    assert (back.levels, back.kind, len(back)) == (runs.levels, "loss", 3)
    np.testing.assert_array_equal(back.weight, [2, 2, 2])

    def mean(weight):
        resampled = runs.replace(weight=weight)
        return jnp.sum(resampled.weight * resampled.response) / len(resampled)

    weights = jnp.array([[1.0, 1.0, 1.0], [3.0, 0.0, 0.0]])
    np.testing.assert_allclose(jax.vmap(mean)(weights), [2.5, 3.0], rtol=1e-6)


def test_source_and_notes_do_not_compile_again():
    traced = []

    @jax.jit
    def count(runs):
        traced.append(repr(runs))
        return runs.response.sum()

    count(Runs.make(table()))
    count(Runs.make(table(), source="other").replace(notes=("something",)))
    assert traced == ["Runs(loss; C, D, N)"]


def test_what_is_printed():
    runs = Runs.make(table(corpus=["a", "b", "b"]), source="grid")
    assert repr(runs) == (
        "Runs(3 runs of loss 2 to 3; N 100M to 1B; D 1B to 4B; C 6e17 to 2.4e19; 2 levels of corpus; 2 levels of size)"
    )
    assert runs.describe() == (
        "3 runs from grid\n"
        "loss    2 to 3\n"
        "N       100M to 1B\n"
        "D       1B to 4B\n"
        "C       6e17 to 2.4e19\n"
        "corpus  2 levels\n"
        "size    2 levels"
    )


@pytest.mark.slow
def test_a_million_rows_take_seconds(tmp_path):
    random = np.random.default_rng(0)
    rows = 1_000_000
    columns = [
        random.integers(10**7, 10**10, rows).tolist(),
        random.integers(10**9, 10**12, rows).tolist(),
        random.uniform(2, 4, rows).tolist(),
        random.choice(["a", "b"], rows).tolist(),
        random.integers(0, 1000, rows).tolist(),
        random.uniform(0, 1, rows).tolist(),
    ]
    path = tmp_path / "runs.csv"
    with path.open("w") as file:
        file.write("params,tokens,loss,family,run_id,lr\n")
        file.writelines(f"{a},{b},{c},{d},{e},{f}\n" for a, b, c, d, e, f in zip(*columns, strict=True))
    start = time.perf_counter()
    runs = Runs.read_csv(path)
    assert len(runs) == rows
    assert time.perf_counter() - start < 30  # 6 s measured on one core; the rest is for a busy machine


def test_the_success_of_guessing_follows_from_the_choices():
    columns = {"C": [1e20, 1e21, 1e22], "successes": [3, 4, 8], "trials": [10, 10, 10]}
    runs = Runs.make({**columns, "n_choices": [4, 4, 0]})
    assert np.asarray(runs.columns["chance"]).tolist() == [0.25, 0.25, 0.0]
    assert "chance = 1/n_choices, the success of guessing" in runs.notes
    said = Runs.make({**columns, "choices": [4, 4, 4], "chance": [0.2, 0.2, 0.2]})
    assert np.asarray(said.columns["chance"]).tolist() == [0.2, 0.2, 0.2]
    with pytest.raises(ValueError, match="row 2: column choices is 1; 2 or more choices, or 0 where"):
        Runs.make({**columns, "choices": [4, 1, 4]})


def test_a_share_is_taken_for_success_where_that_is_asked_for():
    columns = {"C": [1e20, 1e21, 1e22], "accuracy": [0.3, 0.4, 0.8]}
    assert Runs.make(columns, response="success").kind == "success"
    with pytest.raises(ValueError, match="accuracy is a fraction"):
        Runs.make(columns)
