"""Findings of tables: each is made of a table that has its fault, and of none that has not."""

import numpy as np
import pytest

from bayescale import models
from bayescale.check.of_checkpoints import fraction, training_runs
from bayescale.check.of_columns import embedding_share, two_units
from bayescale.check.of_runs import condition, findings_of_runs, levels
from bayescale.law import irrelevant
from bayescale.runs import Runs

CHINCHILLA = models.load("chinchilla")
COUNT = 30


def columns(seed=0, **changed):
    """A table without faults: sizes and tokens for each parameter anywhere, settings that follow the size."""
    rng = np.random.default_rng(seed)
    N, ratio = 10 ** rng.uniform(7.7, 10, COUNT), 10 ** rng.uniform(0.7, 2.5, COUNT)
    D = N * ratio
    loss = (1.8 + 480 * N**-0.35 + 2085 * D**-0.37) * np.exp(0.004 * rng.normal(size=COUNT))
    kept = {"N": N, "D": D, "C": 6 * N * D, "U": D / 1.5, "lr": 1e-3 * (N / 1e9) ** -0.2, "loss": loss}
    return {name: value for name, value in (kept | changed).items() if value is not None}


def found(law=CHINCHILLA, shared=None, **changed):
    return {
        one.code: one
        for one in findings_of_runs(Runs.make(columns(**changed), response="loss"), law, shared=shared)
    }


@pytest.mark.parametrize("law", [None, CHINCHILLA])
@pytest.mark.parametrize("seed", range(5))
def test_a_good_table_has_nothing_to_say(law, seed):
    assert found(law, seed=seed) == {}


# ---- Design


def test_collinear_of_a_table_and_of_a_law():
    own = columns()
    D = 20 * own["N"]
    one = found(D=D, C=None, U=None)["COLLINEAR"]
    assert (one.severity, one.number) == ("severe", pytest.approx(1.0))
    assert (
        "N and D of the runs move together: correlation of their logarithms 1.00, sd of ln D/N 0.00"
        in one.message
    )
    assert found(None, D=D, C=None, U=None)["COLLINEAR"].severity == "warning"
    assert "COLLINEAR" not in found(models.load("power_floor").along("C"), D=D, C=None, U=None)


def test_slopes_that_are_told_by_nothing():
    """What all runs have in common leaves no trace in the loss: here that no token is seen twice."""
    one = found(models.load("data_constrained"), U=columns()["D"])["COLLINEAR"]
    assert one.severity == "severe"
    assert one.number == np.inf
    assert one.message.startswith(
        "nothing in the runs depends on R_D: the slopes of data_constrained at the runs have"
    )
    # Of one value of D it is said that there are few, and no more.
    few = found(D=np.full(COUNT, 1e10), C=None, U=None)
    assert set(few) == {"FEW_LEVELS"}
    nodes = np.geomspace(1, 64, COUNT)
    both = irrelevant(irrelevant(CHINCHILLA, "gpus"), "nodes")
    one = found(both, gpus=8 * nodes, nodes=nodes)["COLLINEAR"]
    assert 1e6 < one.number < np.inf
    assert one.message.startswith(
        "gamma_gpus and gamma_nodes move together: the slopes of chinchilla at the runs have"
    )
    assert one.action == "Add runs that tell them apart, or choose a law without gamma_nodes"


def test_the_condition_number_is_that_of_the_jacobian(workbench):
    """Against slopes written out: those of ln(E + A N^-alpha) by logit E, ln A and ln alpha, from the reference run."""
    law = models.load("power_floor").along("N")
    runs = Runs.make({"N": np.geomspace(1e7, 1e10, 12), "loss": np.linspace(4, 2, 12)})
    E, A, alpha = 0.7, 0.3, 0.25
    x = np.log(np.asarray(runs.columns["N"]) / runs.reference["N"])
    term, mean = A * np.exp(-alpha * x), E + A * np.exp(-alpha * x)
    slopes = np.stack([E * (1 - E) / mean, term / mean, -alpha * x * term / mean], axis=1)
    expected = np.linalg.cond(slopes / np.linalg.norm(slopes, axis=0))
    number, names = condition(runs, law, {"E": E, "A": A, "alpha": alpha})
    assert number == pytest.approx(expected, rel=1e-5)
    assert set(names) <= {"E", "A", "alpha"}


@pytest.mark.parametrize(
    ("values", "expected"), [([1, 1, 1], 1), ([1, 1.05, 2], 2), (np.geomspace(1, 10, 24), 23)]
)
def test_values_that_are_nearly_one_are_one_level(values, expected):
    """Levels are a tenth of an e-fold wide: 24 values a tenth apart and more are so many."""
    assert abs(levels(np.asarray(values, float)) - expected) <= 1


def test_few_levels():
    N = np.repeat([1e8, 1e9], COUNT // 2)
    one = found(N=N, C=None)["FEW_LEVELS"]
    assert (one.severity, one.number) == ("severe", 2)
    assert one.message.startswith("N takes 2 values in all runs; chinchilla in N needs 3")
    one = found(None, N=np.full(COUNT, 1e9), C=None)["FEW_LEVELS"]
    assert (one.severity, one.number) == ("warning", 1)
    assert one.message.startswith("N takes 1 value in all runs; a power law with a floor in N needs 3")
    five = np.repeat(np.geomspace(1e8, 1e10, 5), COUNT // 5)
    assert "FEW_LEVELS" not in found(N=five, C=None)
    assert found(models.load("coupled"), N=five, C=None)["FEW_LEVELS"].number == 5


def test_few_runs():
    runs = Runs.make(columns(), response="loss")
    few = runs.subset(np.arange(COUNT) < 14)
    one = next(one for one in findings_of_runs(few, CHINCHILLA) if one.code == "FEW_RUNS")
    assert (one.severity, one.number) == ("warning", 14)
    assert one.message == "14 runs for the 5 parameters of chinchilla (E, A, B, alpha, beta)"
    assert "FEW_RUNS" not in {one.code for one in findings_of_runs(few)}
    weighed = runs.replace(weight=(np.arange(COUNT) < 14).astype(float))
    assert "FEW_RUNS" in {one.code for one in findings_of_runs(weighed, CHINCHILLA)}


def test_repeated_data():
    U = columns()["D"] / np.where(np.arange(COUNT) < 3, 5.0, 3.9)
    one = found(U=U)["REPEAT"]
    assert one.number == pytest.approx(5.0)
    assert one.message.startswith("3 of 30 runs see their tokens more than 4 times, up to 5 times")
    assert "REPEAT" in found(None, U=U)
    assert "REPEAT" not in found(models.load("data_constrained"), U=U)


# ---- Rows of one run


def logs(run, seed=0, rows=5, spaced=None):
    """Six training runs of which there are rows at equal steps, or at others."""
    rng = np.random.default_rng(seed)
    share = np.arange(1, rows + 1) / rows if spaced is None else np.asarray(spaced)
    N, last = (np.repeat(10 ** rng.uniform(low, low + 2, 6), rows) for low in (8, 4))
    step = np.round(last * np.tile(share, 6) / 10) * 10
    D = step * 1e6
    loss = (1.8 + 480 * N**-0.35 + 2085 * D**-0.37) * np.exp(0.004 * rng.normal(size=6 * rows))
    named = {"run": np.repeat([f"r{i}" for i in range(6)], rows)} if run else {}
    return Runs.make({"N": N, "D": D, "step": step, "loss": loss, **named})


def codes(runs, law=CHINCHILLA, shared=()):
    return {one.code: one for one in findings_of_runs(runs, law, shared=shared)}


def test_several_rows_of_a_run():
    one = codes(logs(run=True))["DUP_RUN"]
    assert (one.severity, one.number) == ("severe", 1.0)
    assert (
        one.message
        == "30 of 30 rows are of 6 training runs, several of each; they count as if they were independent"
    )
    assert one.action.startswith("Let the rows of a run share a shock (--effect run)")
    # What shares a shock is accounted for: by itself, by the effect of the run, or by that of sizes which are as many.
    for shared in (None, ["run"], ["size"]):
        assert "DUP_RUN" not in codes(logs(run=True), shared=shared)


def test_rows_of_a_run_that_no_column_names():
    one = codes(logs(run=False))["DUP_RUN"]
    assert "30 of 30 rows are of 6 training runs, several of each, by the look of their steps" in one.message
    assert one.action.startswith("Add a column run")
    # Runs of their own are planned at lengths of equal ratios.
    assert "DUP_RUN" not in codes(logs(run=False, spaced=2.0 ** np.arange(-4, 1)))
    index, by = training_runs(logs(run=False))
    assert by is None
    assert [len(set(index[i : i + 5])) for i in range(0, 30, 5)] == [1] * 6
    assert len(set(index)) == 6


def test_rows_before_the_end_of_the_schedule():
    one = codes(logs(run=True))["MIDSCHED"]
    assert (one.severity, one.number) == ("warning", pytest.approx(0.2, abs=0.01))
    assert one.message.startswith(
        "24 of 30 rows were taken before 85% of their training run, the first at 20%"
    )
    assert "MIDSCHED" not in codes(logs(run=True, spaced=[0.86, 0.9, 0.93, 0.97, 1]))


@pytest.mark.parametrize(
    ("told", "early"),
    [
        ({"fraction": np.linspace(0.5, 1, COUNT)}, 21),
        ({"fraction_of_schedule": np.linspace(50, 100, COUNT)}, 21),
        ({"step": np.full(COUNT, 800.0), "total_steps": np.linspace(800, 1600, COUNT)}, 25),
    ],
)
def test_columns_that_tell_the_schedule(told, early):
    runs = Runs.make(columns(**told), response="loss")
    assert np.sum(fraction(runs, np.arange(COUNT)) < 0.85) == pytest.approx(early, abs=1)
    assert "MIDSCHED" in codes(runs)


# ---- What columns hold


def test_embeddings():
    N = columns()["N"]
    share = np.linspace(0.02, 0.3, COUNT)
    one = found(params_non_embedding=N * (1 - share))["EMBED"]
    assert one.number == pytest.approx(0.28)
    assert one.message.startswith("embeddings are 2% to 30% of the parameters")
    assert "EMBED" not in found(params_non_embedding=0.8 * N)  # a constant share moves no exponent
    runs = Runs.make(columns(vocab_size=np.full(COUNT, 5e4), d_model=share * N / 5e4), response="loss")
    np.testing.assert_allclose(embedding_share(runs), share)


def test_c_of_another_count():
    own = columns()
    ratio = np.linspace(0.5, 0.9, COUNT)
    one = found(N=own["N"] * ratio, D=own["D"], C=own["C"], params_total=own["N"])["EMBED"]
    assert one.severity == "severe"
    assert "C is 6 params_total D and N is another count, 0.5 to 0.9 times params_total" in one.message
    assert "--name N=params_total" in one.action


def test_what_c_is():
    one = found(C=columns()["C"] * np.where(np.arange(COUNT) == 4, 1.2, 1.05))["FLOPDEF"]
    assert one.number == pytest.approx(1.2)
    assert one.message == "C is not 6ND in 1 of 30 runs: C/6ND is 1.2 in the farthest, row 5"
    assert "FLOPDEF" not in found(C=columns()["C"] * 1.09)


def test_integers_that_overflowed():
    own = columns()
    N, D = (np.round(own[c]).astype(np.int64) for c in ("N", "D"))
    with np.errstate(over="ignore"):
        C = 6 * N * D
    kept = C > 0
    assert 5 < kept.sum() < COUNT  # the others are refused when they are read
    table = {"N": N[kept], "D": D[kept], "C": C[kept], "loss": own["loss"][kept]}
    wrapped = kept.sum() - np.sum(np.abs(C[kept] / (6.0 * N[kept] * D[kept]) - 1) < 1e-9)
    one = {one.code: one for one in findings_of_runs(Runs.make(table))}["INTFLOP"]
    assert (one.severity, one.number) == ("severe", wrapped)
    assert one.message.startswith(
        f"C of {wrapped} of {kept.sum()} runs is 6ND as an integer that overflowed: in row"
    )


def test_losses_of_another_unit():
    loss = columns()["loss"]
    one = found(loss=np.exp(loss + 1))["UNITS"]
    assert one.severity == "severe"
    assert "guessing among 300,000 tokens does no worse" in one.message
    one = found(loss=loss / 4)["UNITS"]
    assert one.severity == "note"
    assert one.message.startswith("every loss is under 1")


def test_losses_of_two_units():
    """Which rows are in bits is found for tables of which a fifth to a half are, and nothing where none is."""
    for seed in range(10):
        bits = np.random.default_rng(seed).permutation(COUNT) < 6 + seed
        runs = Runs.make(
            columns(seed, loss=columns(seed)["loss"] / np.where(bits, np.log(2), 1)), response="loss"
        )
        assert np.mean(two_units(runs) == bits) > 0.95  # a row at the edge of the design may be missed
        assert two_units(Runs.make(columns(seed), response="loss")) is None
    one = codes(runs)["UNITS"]
    assert one.number == pytest.approx(15, abs=1)
    assert one.message.startswith(
        f"{one.number:.0f} of 30 losses are 1.44 times what the others lead to expect"
    )
    assert one.action == "Multiply those in bits by 0.6931"


def test_tokens_of_several_tokenizers():
    one = found(tokenizer=np.tile(["gpt2", "llama"], COUNT // 2))["UNITS"]
    assert one.severity == "severe"
    assert one.message == "losses for each token of 2 tokenizers (gpt2, llama) are not of one unit"
    assert "UNITS" not in found(tokenizer=np.tile(["gpt2", "llama"], COUNT // 2), shared=["tokenizer"])
    one = found(vocab_size=np.tile([32e3, 50e3, 128e3], COUNT // 3))["UNITS"]
    assert "3 tokenizers (vocabularies of 32k to 128k)" in one.message


def test_settings_that_are_one_for_all():
    one = found(lr=np.full(COUNT, 3e-4))["TUNED"]
    assert one.severity == "warning"
    assert one.message.startswith("lr is 0.0003 in every run, and N differs")
    small = columns()["N"].min() * np.geomspace(1, 9, COUNT)
    assert "TUNED" not in found(lr=np.full(COUNT, 3e-4), N=small, C=None)
    assert "batch_size" in found(batch_size=np.full(COUNT, 512.0))["TUNED"].message
