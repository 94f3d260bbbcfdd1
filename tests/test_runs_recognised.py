"""What is recognised in a table: names, numbers with units, labels, the response, and the rows that are asked for."""

import numpy as np
import pandas as pd
import pytest

from bayescale import columns
from bayescale.runs import Runs
from tests.tables import GOOD, table, write


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
