"""Calibration, uneven noise, growth and misfit: the tables that are committed hold what the README says of them."""

import numpy as np
import pytest

from bayescale import models
from bayescale.check.of_runs import findings_of_runs
from tests.test_benchmarks import written


def test_uneven_noise_is_held_by_default_and_told_otherwise():
    """The means of 128 tables; with noise that is known exactly 90% would be held, with an error of some 1%."""
    found = written("uneven_noise")["models"]
    assert found["default"]["cover90"] >= 0.88
    assert found["normal, known"]["cover90"] == pytest.approx(0.9, abs=0.03)
    for name in ("default, one scale", "student_t, one scale"):
        assert found[name]["cover90"] < found["default"]["cover90"]
        assert found[name]["NOISE_SCALE said"] >= 0.95


def test_bootstraps_hold_what_the_readme_says():
    """Posteriors within 3 standard errors of .9, of 256 tables; by run, where sizes share a shock, far less."""
    found = written("bootstrap_coverage")
    cases: dict = {}
    for row in found["held"]:
        assert row["converged"] >= 0.99 * found["tables"]
        cases.setdefault(row["case"], {}).setdefault(row["intervals"], {})[row["quantity"]] = row["90%"]
    error = 3 * np.sqrt(0.09 / found["tables"])
    for case, hows in cases.items():
        if not case.endswith("by run"):
            assert all(abs(held - 0.9) < error for held in hows["posterior"].values()), case
    by_run, by_size = (cases[f"shocks of sizes, resampled by {by}"] for by in ("run", "size"))
    for kind in ("percentile", "basic", "bca"):
        for quantity in ("alpha", "N at 1e23 FLOP"):
            assert by_run[kind][quantity] < 0.9 - error
        assert by_size[kind]["alpha"] > by_run[kind]["alpha"] + 0.1
    every = [held for kind in ("percentile", "bca") for held in cases["log-normal noise"][kind].values()]
    assert 0.84 < min(every) <= max(every) < 0.91


# Studies that lost many fits, and how many.
LOST = {
    "broken_power": 0.23,
    "staircase": 0.40,
    "step": 0.23,
    "broken_success": 0.035,
    "chinchilla, E and B by corpus": 0.03,
    "logistic, threshold by task": 0.03,
}


def test_laws_are_calibrated_over_a_thousand_tables(benchmark):
    """Over 1,024 tables or more, also with other noise: a sound one is uneven once in 100 times, and holds 90%."""
    found = written("calibration")["studies"]
    assert list(found) == [name for name, _ in benchmark("calibration").studies()]
    assert set(models.names()) < set(found)
    for name, one in found.items():
        # The first 1,024 of `routed` alone are uneven in `a` and `d`, see docs/stress.md.
        assert one["replicates"] == (2048 if name == "routed" else 1024)
        assert not one["uneven"], name
        held = [row["cover90"] for row in one["quantities"]]
        assert 0.88 < np.mean(held) < 0.92, name
        assert min(held) > 0.86, name
        lost = 1 - one["counts"]["converged"] / one["replicates"]
        assert lost < LOST.get(name, 0.025), name
        assert any("LOST_FITS" in finding for finding in one.get("findings", ())) == (lost > 0.02), name


def test_intervals_hold_as_often_as_they_say_in_the_mean_of_all_studies():
    """Of some 1,250 coverages 5% are outside their own 95% interval; quantities of one study hang together."""
    rows = [row for one in written("calibration")["studies"].values() for row in one["quantities"]]
    outside = []
    for level in (50, 80, 90, 95):
        assert np.mean([row[f"cover{level}"] for row in rows]) == pytest.approx(level / 100, abs=0.005)
        outside += [not row[f"cover{level}_low"] <= level / 100 <= row[f"cover{level}_high"] for row in rows]
    assert np.mean(outside) < 0.07


def test_decisions_and_predictions_are_held_too(benchmark):
    """Of 1,000 sound 90% intervals 864 to 936 hold, but once in 7,000 times; of the 50 here, once in 140 at most.

    With Huber noise many targets are bought by no budget; where most draws say so, that is held whatever the level.
    """
    module, found = benchmark("calibration"), written("calibration")["studies"]
    assert sum("C for the target" in module.asked_of(*make()) for _, make in module.studies()) == 11
    every: dict = {}
    for name, make in module.studies():
        held = {row["quantity"]: row["cover90"] for row in found[name]["quantities"]}
        for quantity in module.asked_of(*make()):
            if name == "broken_power":  # measured before this was asked; it takes over an hour
                continue
            unbought = (name, quantity) == ("chinchilla, huber", "C for the target")
            assert 0.863 < held[quantity] < (1.0 if unbought else 0.937), (name, quantity)
            every.setdefault(quantity, []).extend([] if unbought else [held[quantity]])
    assert {name: np.mean(held) for name, held in every.items()} == pytest.approx(
        dict.fromkeys(every, 0.9), abs=0.015
    )


def test_coordinates_make_posteriors_converge_and_leave_them_as_they_are():
    found = written("coordinates")
    laws = [name for name in models.names() if models.load(name).coordinates]
    assert list(found["apart"]) == laws
    rows = {(row["law"], row["form"]): row for row in found["measured"]}
    for name in laws:
        own, bare = rows[name, "coordinates"], rows[name, "parameters"]
        assert own["converged"] >= max(bare["converged"], 0.8 * found["tables"])
        assert own["gradients"] < bare["gradients"] / 1.2
    # By chance 1 in 300, of parameters that hang together.
    assert np.mean(list(found["apart"].values())) < 0.05


def test_growth_has_all_its_tables_and_devices_the_same_numbers(benchmark):
    module, found = benchmark("growth"), written("growth")
    assert [row["law"] for row in found["parameters"]] == list(module.LAWS)
    assert [row["groups"] for row in found["groups"]] == list(module.GROUPS)
    assert [row["chains"] for row in found["chains"]] == list(module.CHAINS)
    assert [row["devices"] for row in found["devices"]] == list(module.DEVICES)
    assert len({row["digest"] for row in found["devices"]}) == 1
    for row in (*found["parameters"], *found["groups"], *found["chains"]):
        assert row["times"] > 5


def test_tables_of_the_misfit_matrix_are_of_losses_and_of_nothing_else(benchmark):
    """Truths lie close to the first of them, and there is nothing to say of their tables before a law is fitted."""
    module = benchmark("misfit")
    first = module.table("chinchilla", 0, "log_normal")[0].response
    for truth in module.TRUTHS:
        runs, ahead = module.table(truth, 0, "log_normal")
        assert np.abs(np.log(runs.response / first)).max() < 0.4
        assert ((ahead > 1.5) & (ahead < runs.response.max())).all()
        assert findings_of_runs(runs) == ()


def test_what_evidence_and_a_back_test_choose(benchmark):
    """As the README says: the true law, or one of three that are near each other."""
    module = benchmark("misfit")
    near = ("chinchilla", "chinchilla_tied", "coupled")
    shares = []
    for noise in module.NOISES:
        rows = {(row["truth"], row["fitted"]): row for row in written("misfit")[noise]}
        for truth in module.TRUTHS:
            chosen = [rows[truth, fitted] for fitted in module.FITTED]
            assert sum(row["most_evidence"] for row in chosen) == 40
            assert sum(row["least_crps"] for row in chosen) == 40
            assert all(row["least_crps"] <= row["scored"] <= 40 for row in chosen)
            family = near if truth in near else (truth,)
            if truth in module.FITTED:
                assert sum(rows[truth, fitted]["most_evidence"] for fitted in family) == 40
        own = [rows[truth, truth] for truth in (*near, "power_floor")]
        shares += [sum(row[how] for row in own) / 160 for how in ("most_evidence", "least_crps")]
    assert shares == pytest.approx([0.744, 0.594, 0.5625, 0.406], abs=1e-3)


def test_a_fit_that_does_not_converge_is_not_chosen_by_a_back_test(benchmark):
    cell = benchmark("misfit").cell
    one = {"converged": True, "held": [True, True], "bias": [0.0, 0.0], "findings": [], "evidence": 1.0}
    tables = [
        {name: one | {"crps": score} for name, score in zip(benchmark("misfit").FITTED, scores, strict=True)}
        for scores in ([None, 0.3, 0.2, 0.4, 0.5, 0.6], [None] * 6)
    ]
    said = {name: cell("chinchilla", name, tables) for name in tables[0]}
    assert [said[name]["least_crps"] for name in said] == [0, 0, 1, 0, 0, 0]
    assert [said[name]["scored"] for name in said] == [0, 1, 1, 1, 1, 1]


@pytest.mark.parametrize("noise", ["log_normal", "student_t"])
def test_the_misfit_matrix_is_whole_and_the_right_law_holds_what_it_says(benchmark, noise):
    """Of 40 tables 90% intervals hold 28 or fewer once in 2,600, by five truths and two decades once in 260."""
    module = benchmark("misfit")
    rows = {(row["truth"], row["fitted"]): row for row in written("misfit")[noise]}
    assert set(rows) == {(truth, fitted) for truth in module.TRUTHS for fitted in module.FITTED}
    for (truth, fitted), row in rows.items():
        assert row["tables"] == 40
        if truth == fitted:
            assert min(row["cover90"]) > 0.7
        elif min(row["cover90"]) < 0.5:
            # As the README says: a law that is far off is noticed, unless tails that the fit does not know blur it.
            assert row["noticed"] >= {"log_normal": 1.0, "student_t": 0.9}[noise]
    assert (
        rows["coupled", "chinchilla"]["wrong_and_not_noticed"] > 0.05
    )  # as the README says of one that is near
