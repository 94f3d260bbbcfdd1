"""The studies of task success that are committed: what they have to hold, what they miss, and the printed errors."""

import json
from pathlib import Path

import numpy as np
import pytest

from bayescale import models

FOLDER = Path(__file__).parent.parent / "benchmarks" / "results"


def written(name):
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def gates():
    return written("task_backtests")


def test_the_printed_errors_of_gadre_are_reproduced(benchmark):
    """Least squares by their recipe, computed here; within 0.01 of a percent."""
    for found in benchmark("task_backtests").references().values():
        assert found["found"] == pytest.approx(found["printed"], abs=0.01)


def test_what_is_written_is_what_is_computed(gates, benchmark):
    assert gates["references"] == benchmark("task_backtests").references()


# What is missed: the figure as it stands, and why. A figure that changes is told here, for better or worse.
MISSED = {
    # The way by the loss alone is off by 1.8; a fifth of the weight is with laws that all forecast too much. Weights
    # that trust the evidence more hold this gate and lose elsewhere: a sixth at 1e17, a tenth among new families.
    ("gadre", "1e18"): 2.97,
    # Counts near nothing tell of steeper curves than come: the best score so far is as near, though its CRPS is worse.
    ("gadre_tasks", "1e18"): 10.58,
}
# SQuAD, QA on Wikidata, LAMBADA and HellaSwag without examples rise faster than any of the laws: 10 to 22 points.
NARROW = {("gadre_tasks", "1e19"): 0.74}
# Of horizons persistence was nearer at these dates: growth sped up in 2024, which nothing before it told.
NEARER = {"2024.50": (1.37, 1.0), "2024.75": (0.93, 0.44)}


@pytest.mark.parametrize("suite", ["gadre", "gadre_tasks"])
def test_errors_against_the_gate(gates, suite):
    for cut, most in gates["gates"][suite]["error"].items():
        line = gates[suite]["cuts"][cut]
        assert line["forecasts"] > 10
        if (suite, cut) in MISSED:
            assert line["error"] == pytest.approx(MISSED[suite, cut], abs=0.005)
            assert line["error"] > most, f"{suite} at {cut} is held now: take it off the list"
        else:
            assert line["error"] <= most, f"{suite} at {cut}"


def test_single_tasks_have_skill_at_every_cut(gates):
    for cut, line in gates["gadre_tasks"]["cuts"].items():
        assert line["skill"] > 0
        if ("gadre_tasks", cut) not in MISSED:
            assert line["error"] <= line["best_so_far_error"]


@pytest.mark.parametrize("suite", ["gadre", "gadre_tasks", "obsscaling", "pythia"])
def test_no_forecast_is_outside_of_what_success_can_be(gates, suite):
    assert gates[suite]["least"] >= 0
    assert gates[suite]["greatest"] <= 1


def test_ninety_percent_intervals_hold_where_the_gate_is(gates):
    for cut in ("1e18", "1e19", "1e20"):
        for suite in ("gadre", "gadre_tasks"):
            held = gates[suite]["cuts"][cut]["cover90"]
            if (suite, cut) in NARROW:
                assert held == pytest.approx(NARROW[suite, cut], abs=0.0005)
            else:
                assert held >= 0.8, f"{suite} at {cut}"
    for line in gates["obsscaling"]["cuts"].values():
        assert line["seen"]["cover90"] >= 0.8
        assert line["unseen"]["cover90"] >= 0.8
    for line in gates["pythia"]["cuts"].values():
        assert line["dex"]["cover90"] >= 0.8


def test_families_that_were_seen(gates):
    """The gate is 7.3 points, which holds; the stretch of 6 does not."""
    asked, line = gates["gates"]["obsscaling"], gates["obsscaling"]["cuts"]["8.4e22"]
    assert line["seen"]["forecasts"] > 100
    assert asked["stretch"] < line["seen"]["error"] <= asked["seen"]
    assert line["seen"]["skill"] > 0


def test_corpora_left_out(gates):
    """Of which none or two models are known: intervals hold, and a curve of losses does as well for the median."""
    for shown in (0, 2):
        line = gates["gadre"][f"without_corpus_{shown}_shown"]
        assert line["cover90"] >= 0.8
        assert line["error"] <= 2.0


def test_forecasts_of_the_mean_have_skill_at_every_gate(gates):
    for cut in ("1e18", "1e19", "1e20"):
        assert gates["gadre"]["cuts"][cut]["skill"] > 0


def test_gsm8k_is_flagged_as_a_plateau_where_it_is_and_the_mean_of_gadre_is_not(gates):
    flagged = {cut: line["plateau"]["flagged"] for cut, line in gates["pythia"]["cuts"].items()}
    assert flagged["3e21"]
    assert not any(flagged[cut] for cut in ("1e19", "1e20", "3e20", "1e21"))
    told = [line["plateau"] for line in gates["gadre"]["cuts"].values() if line["plateau"]]
    assert len(told) >= 5
    assert not any(one["flagged"] for one in told)


def test_gsm8k_is_forecast_no_better_than_the_best_so_far_on_its_plateau(gates):
    """Which the back-test says: forecasts are refused, and where they are the best so far is to be taken."""
    assert gates["pythia"]["refuse"]
    assert gates["pythia"]["cuts"]["1e19"]["skill"] > 0


def test_horizons(gates):
    """Intervals hold at every date; persistence is nearer at two of four."""
    for cut, line in gates["metr"]["cuts"].items():
        held, count = line["inside"]
        assert held >= 0.8 * count
        theirs = line["baselines"]["persistence"]["error"]
        if cut in NEARER:
            assert (line["error"], theirs) == pytest.approx(NEARER[cut], abs=0.01)
            assert line["error"] > theirs, f"{cut} is held now: take it off the list"
        else:
            assert line["error"] <= theirs


def test_verdicts_tell_where_a_law_pays():
    """Smooth and sure on the small models: laws then beat both baselines as often as in the table of reference.

    Fewer pairs are called so than there (7 and 17, of 18 and 36): many are not told from guessing yet.
    """
    found = written("gadre_verdicts")
    for cut, count in (("1e+19", 7), ("1e+20", 17)):
        lines = found["by_cut"][cut]
        assert sum(line["pairs"] for line in lines.values()) == 138
        sure = lines["smooth, sure and above chance"]
        assert sure["pairs"] == count
        assert sure["link_wins"] >= sure["reference"][3]
        assert sure["error"]["link"] < sure["reference"][1]
        assert all(line["link_wins"] < sure["link_wins"] for line in lines.values() if line is not sure)
        assert lines["not yet"]["link_wins"] < 0.25


# ---- What tasks share: acceptance checks A5 and A6


def test_what_families_of_metr_share(benchmark):
    """Within the known distances, and by a posterior that was sampled well."""
    module, one = benchmark("overlap"), written("overlap")["metr"]
    assert (one["tasks"], one["families"]) == (83, 36)
    for name in ("rho", "effective"):
        middle, most = module.KNOWN[name]
        assert one[name][0] == pytest.approx(middle, abs=most), name
    assert one["r_hat"] < 1.02
    assert one["divergences"] == 0


def test_what_problems_of_gsm8k_share(benchmark):
    """Of at most 512 tries of each problem within the known distances, which leave room for their own errors; of all
    tries what is known is inside of the 90% intervals."""
    module, found = benchmark("overlap"), written("overlap")
    every, some = found["gsm8k, one slope"], found["gsm8k, one slope of 512 tries"]
    for name in ("shared", "spread"):
        middle, most = module.KNOWN[name]
        assert some[name][0] == pytest.approx(middle, abs=most), name
        assert every[name][1] < middle < every[name][2], name
    for one in (every, some):
        assert one["r_hat"] < 1.05
        assert one["divergences"] == 0


def test_the_shock_is_what_forecasts_of_gsm8k_need():
    """Acceptance check A6: 90% intervals hold 80% of later checkpoints with it, and less than 60% without."""
    found = written("overlap")
    for cut in ("3e+20", "1e+21", "3e+21"):
        shocked, alone = (found[f"forecasts beyond {cut} FLOP, {how} shock"] for how in ("with", "without"))
        assert shocked["covered_90"] >= 0.8
        assert alone["covered_90"] < 0.6
        assert shocked["width"] > 4 * alone["width"]
    assert found["forecasts beyond 1e+21 FLOP, with shock"]["r_hat"] < 1.05


def test_what_problems_of_gsm8k_share_by_another_program():
    """The plain model, which samples a number for each count, says the same of all tries and of 512 each."""
    found = written("overlap")
    for tries in ("", " of 512 tries"):
        ours, plain = (found[f"gsm8k, {name}{tries}"] for name in ("one slope", "the plain model"))
        assert plain["r_hat"] < 1.05
        assert ours["shared"][0] == pytest.approx(plain["shared"][0], abs=0.03)
        scatter = "problem of one checkpoint, logits"
        assert ours[scatter][0] == pytest.approx(plain[scatter][0], abs=0.02)
        assert ours["model shock"][0] == pytest.approx(plain["model shock"][0], abs=0.05)
        # In decades the spreads differ as the slopes do, of which the priors of thresholds have a say.
        logits = [one["spread"][0] * one["slope"][0] for one in (ours, plain)]
        assert logits[0] == pytest.approx(logits[1], rel=0.05)


# Two chains of 500 draws did not agree on it, so that what it says is no result.
UNSETTLED = {("time_horizon", "tasks alike")}


def test_horizons_of_metr_with_families_and_without(benchmark):
    module, found = benchmark("horizons"), written("horizons")
    for law, by in found["laws"].items():
        for shared, one in by.items():
            assert found["widths"][law][shared] == module.widths(one)
            assert one["divergences"] == 0, (law, shared)
            assert (one["r_hat"] < 1.05) == ((law, shared) not in UNSETTLED)
    families, independent = (
        found["laws"]["time_horizon"][name] for name in ("families", "independent tasks")
    )
    for one in (families, independent):
        low, _, high = one["doubling"]
        assert low < 212 < high  # days, as printed for this suite: arXiv:2503.14499
    wide, narrow = (found["widths"]["time_horizon"][name] for name in ("families", "independent tasks"))
    assert wide["50%"] > 1.25 * narrow["50%"]  # what tasks share makes horizons less sure


# Of 20 suites, 16 should hold the truth; 14 and 15 did, where thresholds themselves, with these priors and no noise of
# counts, hold it in 16 and 15. Of 200 suites thresholds themselves hold it in 174 and 182.
FEW_HELD = {("0.7", "spread"), ("0.95", "spread")}


def test_overlap_is_recovered(benchmark):
    """Errors of rho below 0.08, or what thresholds themselves would give: 0.083 where families have 0.3."""
    module, found = benchmark("items"), written("items")
    for rho in module.RHO:
        one, fits = found["truths"][str(rho)], found["fits"][str(rho)]
        assert one == module.digest(rho, fits)
        assert one["divergences"] == 0
        assert one["r_hat_greatest"] < 1.02
        assert one["rho"]["error"] < max(0.08, 1.1 * one["rho"]["error_of_thresholds"])
        for name in ("rho", "spread"):
            held = one[name]["covered"] >= 0.8 * one["suites"]
            assert held or (str(rho), name) in FEW_HELD
        assert one["spread"]["mean"] == pytest.approx(1, abs=0.2)


# ---- Scale


def test_fifty_models_at_five_hundred_tasks_beside_pymc(benchmark):
    """Ours converged, the peers by 500 draws after 500 did not: no posterior of theirs to hold ours to yet.

    Means are within half a standard deviation all the same, and the truth is within three of ours.
    """
    module, race = benchmark("tasks"), written("tasks")["race"]
    (ours,) = race["contenders"]["bayescale"]
    assert race["rows"] == module.MODELS * module.TASKS
    assert ours["r_hat"] < 1.02
    assert ours["ess"] > 400
    assert ours["divergences"] == 0
    for peer in module.PEERS:
        (theirs,) = race["contenders"][peer]
        assert theirs["r_hat"] > 1.1, peer  # a ratio of speeds to it would flatter us
        for name in module.SHARED:
            (mean, _), (other, wide) = ours["means"][name], theirs["means"][name]
            assert abs(mean - other) < 0.5 * wide, (peer, name)
    truth = {"threshold": 0, "slope": 1.0986, "spread": 1, "steeper": 0.3, "ability": 0.2}
    for name, value in truth.items():
        mean, width = ours["means"][name]
        assert abs(mean - value) < 3 * width, name


def test_a_million_responses_in_minutes():
    """Means are right; widths of what levels share are too small, down to six tenths of what they are."""
    million = written("tasks")["growth"][0]
    assert million["responses"] == 10**6
    assert million["seconds"] < 300
    assert million["error"] < 0.2
    assert max(million["errors"].values()) < 0.25
    assert 0.6 < million["narrow"] < 1
    assert 0.5 < min(million["widths"].values()) < 0.7


def test_all_tables_settle_where_they_were_drawn():
    """Up to a hundred million responses: 35 means of what levels share, which are told no better than by levels that
    are known, so that widths are about those. Levels are told to within their own widths, but for thresholds of a
    hundred million: those can only move together, which coordinates that are taken for independent do not know.
    """
    growth = written("tasks")["growth"]
    assert growth[-1]["responses"] == 10**8
    assert growth[-1]["seconds"] < 300
    for table in growth:
        assert table["mode_converged"]
        tasks, models = np.sqrt(table["tasks"]), np.sqrt(table["models"])
        known = {"threshold": 1 / tasks, "slope": 0.3 / tasks, "ability": 0.2 / models / np.sqrt(2)}
        known |= {"spread": 1 / tasks / np.sqrt(2), "steeper": 0.3 / tasks / np.sqrt(2)}
        for name, least in known.items():
            mean, width = table[name]
            assert 0.8 < width / least < 1.3, (table["models"], table["tasks"], name)
            assert abs(mean - table["drawn"][name]) < 1.5 * width, (table["models"], table["tasks"], name)
        assert max(table["levels"].values()) < (1.2 if table["responses"] < 10**8 else 1.8)


# ---- Recovery: 90% intervals of what was simulated from each family hold it


def covered(study):
    """The mean over quantities of how often their 90% intervals held the truth."""
    return np.mean([row["cover90"] for row in study["quantities"]])


def test_laws_of_success_are_recovered():
    found = written("calibration")["studies"]
    laws = [name for name in models.names() if models.load(name).response == "success"]
    for name in laws:
        assert found[name]["replicates"] >= 128
        assert not found[name]["uneven"]
        assert 0.85 <= covered(found[name]) <= 0.95, name


def test_suites_are_recovered():
    found = written("suites")["studies"]
    assert "item response, 4 tries" in found
    for name, study in found.items():
        assert not study["uneven"], name
        assert 0.85 <= covered(study) <= 0.95, name
