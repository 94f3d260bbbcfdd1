"""Runs: what is derived, which factors there are, where they come from, and that they are a value JAX can carry."""

import gzip
import json
import math
import time

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

from bayescale.runs import Runs
from tests.tables import GOOD, table, write

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
