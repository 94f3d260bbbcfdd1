"""Slices of equal compute: curves of a law, approaches 1 and 2 with their known bias, and both beside a law."""

import csv
import json
import re

import jax
import numpy as np
import pytest
from scipy.optimize import least_squares

from bayescale import data, models, noise, parallel
from bayescale.data import path
from bayescale.decide.allocate import compute_optimal
from bayescale.decide.cross_check import cross_check
from bayescale.decide.envelope import envelope
from bayescale.decide.isoflop import isoflop
from bayescale.decide.parabola import parabola, parabola_bias, vertex
from bayescale.decide.slices import power_law, slices
from bayescale.fit import Fit
from bayescale.model import Model
from bayescale.runs import Runs

KEY = jax.random.key(0)
BUDGETS = np.geomspace(1e17, 1e21, 5)
HOFFMANN = {"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28}  # as printed
EVEN = HOFFMANN | {"alpha": 0.31, "beta": 0.31}
UNEVEN = HOFFMANN | {"alpha": 0.465, "beta": 0.155}
LAW = models.load("chinchilla")


def surface_of(parameters):
    return lambda N, D: LAW.mean(N, D, **parameters)


def best(compute, *, A, B, alpha, beta, **_):
    return (alpha * A / (beta * B)) ** (1 / (alpha + beta)) * (compute / 6) ** (beta / (alpha + beta))


def runs_of(parameters, *, rng=None, sigma=0.004, width=4.0, sizes=8, offset=1.0, budgets=BUDGETS, drift=1.0):
    """Runs in slices about the optimum of a law, whose middles have `offset` times as many tokens."""
    off = offset * drift ** np.linspace(0, 1, len(budgets))
    steps = np.geomspace(1 / width, width, sizes)
    N = np.concatenate([best(c, **parameters) / o * steps for c, o in zip(budgets, off, strict=True)])
    D = np.repeat(budgets, sizes) / (6 * N)
    loss = LAW.mean(N, D, **parameters) * np.exp(sigma * rng.standard_normal(len(N)) if rng else 0.0)
    return Runs.make({"N": N, "D": D, "C": 6 * N * D, "loss": loss})


def fit_of(runs, natural, draws=400, sd=1e-4, sigma=0.004):
    """A fit to runs whose draws scatter hardly about these parameters."""
    rng = np.random.default_rng(0)
    natural = {p: v * np.exp(sd * rng.standard_normal(draws)) for p, v in natural.items()}
    with parallel.workbench():
        relative = LAW.to_reference(natural, runs.reference, runs.unit)
        found = {p: np.asarray(v, float)[None] for p, v in relative.items()}
    found["sigma"] = np.full((1, draws), sigma)
    stats = {"at_bound": [], "mode_converged": True, "pareto_k": 0.1}
    return Fit(Model(LAW, noise.log_normal, effects=()), runs, found, "laplace", stats)


# ---- Approach 2 and its bias


@pytest.mark.parametrize(
    ("parameters", "offset", "drift", "errors", "within"),
    [
        (HOFFMANN, 1, 1, (-0.33, -1.30, -2.90, -5.10), 0.02),
        (UNEVEN, 1, 1, (-1.67, -6.50, -13.91, -23.12), 0.02),
        (EVEN, 3, 1, (3.97, 3.47, 2.65, 1.51), 0.02),
        (UNEVEN, 1, 3, (34.57, 30.04, 22.97, 14.00), 0.05),
    ],
    ids=["chinchilla", "asymmetric", "off centre", "drift"],
)
def test_the_bias_of_approach_2_without_noise(parameters, offset, drift, errors, within):
    """Errors of D*(1e24) in per cent, from 5 budgets of 15 runs within 2, 4, 8 and 16 times: Open-Athena 2026."""
    for width, error in zip((2, 4, 8, 16), errors, strict=True):
        found = parabola_bias(surface_of(parameters), BUDGETS, 1e24, width=width, offset=offset, drift=drift)
        assert pytest.approx(error, abs=within) == 100 * found.D
        assert pytest.approx(1, abs=1e-12) == (1 + found.N) * (1 + found.D)
        # The exponent is right unless the middles of the slices drift away.
        if drift == 1:
            assert abs(found.a) < 1e-6
        else:
            assert abs(found.a) > 0.02


def test_the_estimator_has_the_bias_that_is_worked_out():
    runs = runs_of(UNEVEN, width=8, sizes=15, drift=3)
    found = parabola(KEY, runs, replicates=10).estimate(1e24)
    bias = parabola_bias(surface_of(UNEVEN), BUDGETS, 1e24, width=8, drift=3)
    assert found["N"] / best(1e24, **UNEVEN) == pytest.approx(1 + bias.N, rel=1e-6)
    assert found["D"] * 6 * found["N"] == pytest.approx(1e24, rel=1e-9)
    assert found["a"] + found["b"] == pytest.approx(1, abs=1e-12)


def test_a_parabola_is_found_exactly_and_none_where_there_is_none():
    x = np.linspace(18, 24, 7)
    rows = np.stack([(x - 20.5) ** 2, 5 - (x - 21) ** 2, (x - 30) ** 2])
    found = vertex(x, rows)
    assert np.log(found[0]) == pytest.approx(20.5, abs=1e-12)
    assert np.isnan(found[1:]).all()  # no minimum; one so far outside that nothing is known of it


def test_power_laws_leave_out_what_is_not_known():
    values = np.array([[1.0, 2.0, np.nan, 8.0], [np.nan, np.nan, np.nan, 3.0]])
    slope, at = power_law(np.array([1.0, 2.0, 4.0, 8.0]), values, 16.0)
    assert slope[0] == pytest.approx(1)
    assert np.exp(at[0]) == pytest.approx(16)
    assert np.isnan([slope[1], at[1]]).all()


def test_intervals_of_approach_2_hold_and_clean_slices_are_silent():
    """90% intervals of a in 100 studies without bias: fewer than 80 holding has a chance of 0.2%.

    A2_SCATTER fires on 1% of such studies: more than 6 of 100 has a chance of 0.01%.
    """
    rng, held, scattered, off = np.random.default_rng(1), 0, 0, 0
    for i in range(100):
        found = parabola(jax.random.key(i), runs_of(EVEN, rng=rng, sigma=0.003), replicates=300)
        low, _, high = found.at(1e24).interval("a")
        held += low <= 0.5 <= high
        codes = [finding.code for finding in found.findings]
        scattered += "A2_SCATTER" in codes
        off += "A2_BIAS" in codes
    assert held >= 80
    assert scattered <= 6
    assert off <= 2  # noise alone moves a minimum by a factor of two in under 1 of 200 slices


@pytest.mark.parametrize(
    ("how", "message", "severity"),
    [
        ({"width": 2, "offset": 3}, "5 of 5 slices .* have no minimum between their sizes", "severe"),
        (
            {"width": 8, "offset": 3},
            "5 of 5 slices .* have their middle up to 2.9x off the minimum",
            "warning",
        ),
        ({"width": 12}, r"5 of 5 slices .* reach up to 12x to either side, more than 8x", "warning"),
    ],
)
def test_what_makes_a_parabola_miss_is_said(how, message, severity):
    (finding,) = parabola(KEY, runs_of(EVEN, sizes=9, **how), replicates=20).findings
    assert (finding.code, finding.severity) == ("A2_BIAS", severity)
    assert re.match(message, finding.message)
    assert "1e17" in finding.message


def test_minima_off_one_power_law_are_said():
    runs = runs_of(EVEN, rng=np.random.default_rng(0), sigma=0.001)
    loss = np.asarray(runs.response).copy()
    N, C = np.asarray(runs.columns["N"]), np.asarray(runs.columns["C"])
    third = np.isclose(C, 1e19)
    loss[third] += 0.05 * np.log(N[third] / best(1e19, **EVEN))  # sizes of one budget were trained otherwise
    found = parabola(KEY, runs.replace(response=loss)).findings
    assert "A2_SCATTER" in {finding.code for finding in found}


# ---- Slices


def test_slices_are_found_by_compute_or_by_a_column():
    runs = runs_of(EVEN, sizes=5)
    assert [len(part) for part in slices(runs)] == [5] * 5
    C = np.asarray(runs.columns["C"])
    uneven = runs.replace(
        columns=runs.columns | {"C": C * np.tile([0.9, 1.1, 1.3, 1.0, 1.2], 5), "budget": C}
    )
    with pytest.raises(ValueError, match="no slices of equal compute: 0 of its budgets"):
        slices(uneven, tolerance=0.05)
    assert [len(part) for part in slices(uneven, "budget")] == [5] * 5


def test_tables_without_slices_are_refused():
    spread = Runs.make(
        {"N": np.geomspace(1e8, 1e9, 40), "D": np.geomspace(1e9, 1e10, 40), "loss": np.full(40, 3.0)}
    )
    with pytest.raises(ValueError, match=r"follow each other without a gap of 20%; say which column"):
        slices(spread, tolerance=0.2)
    with pytest.raises(ValueError, match="there is no column budget of budgets; there are N, D, C"):
        slices(spread, "budget")
    with pytest.raises(ValueError, match="tolerance is -1; it is a positive share"):
        slices(spread, tolerance=-1)
    alone = Runs.make({"C": np.geomspace(1e18, 1e19, 5), "loss": np.full(5, 3.0)})
    with pytest.raises(ValueError, match="an optimum is of losses in N and D; this table is of loss in C"):
        parabola(KEY, alone)
    falling = runs_of(EVEN, offset=0.01, sizes=5)
    with pytest.raises(
        ValueError, match="0 of 5 slices has a minimum, and a power law goes through two or more"
    ):
        parabola(KEY, falling)
    with pytest.raises(ValueError, match=r"compute is -1; it is a positive number of FLOP"):
        parabola(KEY, runs_of(EVEN)).at(-1)
    with pytest.raises(
        ValueError, match=r"1 budgets of 15 sizes, width 4\.0, offset 1\.0, drift 1\.0: take 2 budgets"
    ):
        parabola_bias(surface_of(EVEN), [1e20], 1e24)


def test_what_an_approach_says_is_a_decision():
    found = parabola(KEY, runs_of(EVEN, rng=np.random.default_rng(0)), replicates=100)
    said = found.at(1e23)
    assert list(said.draws) == ["N", "D", "D/N", "a", "b"]
    assert said.beyond["C"] == pytest.approx(2)
    assert said["N"].shape == (100,)
    assert [row["C"] for row in found.rows()] == pytest.approx(BUDGETS)
    assert all(row["N low"] < row["N"] < row["N high"] for row in found.rows())


# ---- Published numbers


def table():
    with open(path("chinchilla_optimal_2022"), newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    columns = {
        c: np.array([float(row[c]) for row in rows]) for c in ("approach", "params", "flops", "tokens")
    }
    return columns["approach"], columns["params"], columns["flops"], columns["tokens"]


def test_the_tables_of_hoffmann_and_their_misprint():
    approach, N, C, D = table()
    ratio = 6 * N * D / C
    (row,) = np.flatnonzero(np.abs(np.log(ratio)) > np.log(1.1))
    assert (approach[row], N[row], C[row]) == (3, 1.75e11, 1.26e24)  # printed; 6ND is 1.26e25
    assert ratio[row] == pytest.approx(10, rel=1e-3)
    C[row] *= 10
    for number, slope in ((1, 0.498), (2, 0.490), (3, 0.459)):
        own = approach == number
        (a,), _ = power_law(C[own], N[own][None], 1e24)
        assert a == pytest.approx(slope, abs=5e-4)
        (b,), _ = power_law(C[own], D[own][None], 1e24)
        assert a + b == pytest.approx(1, abs=0.006)  # of numbers printed to two or three digits


def test_the_optimum_of_llama_3(shared_data, monkeypatch):
    """Its authors say D* = 0.299 C^0.537, and 402B parameters on 16.55T tokens at 3.8e25 FLOP: arXiv:2407.21783.

    Ours are of points read off their figure.
    """
    monkeypatch.setenv("BAYESCALE_DATA", str(shared_data))
    runs = data.load("llama3_isoflop")
    found = parabola(KEY, runs, replicates=200)
    assert len(found.budgets) == 10
    said = found.estimate(3.8e25)
    assert said["b"] == pytest.approx(0.537, abs=0.003)
    assert said["D"] == pytest.approx(16.55e12, rel=0.04)
    assert said["N"] == pytest.approx(402e9, rel=0.04)


def least_squares_of(runs):
    """The Chinchilla law through the log losses of runs by SciPy, and the sd of what it leaves."""
    N, D, loss = (
        np.asarray(values, float) for values in (runs.columns["N"], runs.columns["D"], runs.response)
    )

    def natural(x):
        own = {"E": np.exp(x[0]), "alpha": np.exp(x[3]), "beta": np.exp(x[4])}
        return own | {"A": np.exp(x[1]) * 1e9 ** own["alpha"], "B": np.exp(x[2]) * 2e10 ** own["beta"]}

    found = least_squares(
        lambda x: np.log(LAW.mean(N, D, **natural(x)) / loss), [1.0, -1.0, -1.0, -1.0, -1.0]
    )
    return natural(found.x), float(np.sqrt(2 * found.cost / (len(loss) - 5)))


def test_a_law_explains_what_approach_2_says_of_marin(shared_data, monkeypatch):
    """With alpha well above beta a parabola finds more N than there are; the law says by how much, and it does."""
    monkeypatch.setenv("BAYESCALE_DATA", str(shared_data))
    runs = data.load("marin2026_isoflop")
    runs = runs.subset(np.asarray(runs.factors["group"]) == runs.levels["group"].index("comma"))
    found = parabola(KEY, runs, by="isoflop_budget", replicates=300)
    law, sigma = least_squares_of(runs)
    assert (law["E"], law["alpha"], law["beta"]) == pytest.approx(
        (2.70, 0.67, 0.35), abs=0.1
    )  # datasets.toml has it of Huber's loss
    both = cross_check(KEY, fit_of(runs, law, sigma=sigma), found, runs, 1e22)
    assert np.expm1(np.median(both.bias)) == pytest.approx(0.4, abs=0.1)
    assert both.surprise > 0.05
    said = [finding.message for finding in both.findings if finding.code == "A2_BIAS"]
    assert any("reach up to 8.7x" in message for message in said)
    assert any("alpha and beta of the law differ by 0.3" in message for message in said)
    assert any("without noise" in message for message in said)


# ---- Approach 1


def curves_of(parameters, sizes=9, lengths=14, rng=None, sigma=0.0):
    N, D = (
        axis.ravel()
        for axis in np.meshgrid(
            np.geomspace(1e7, 1e10, sizes), np.geomspace(1e8, 1e12, lengths), indexing="ij"
        )
    )
    noisy = np.exp(sigma * rng.standard_normal(N.shape)) if rng else 1.0
    return Runs.make({"N": N, "D": D, "loss": LAW.mean(N, D, **parameters) * noisy}, factors=["size"])


def test_approach_1_follows_the_envelope():
    for parameters, a in ((EVEN, 0.5), (HOFFMANN, 0.4516)):
        found = envelope(KEY, curves_of(parameters, sizes=25, lengths=60), replicates=20)
        assert found.estimate(1e22)["a"] == pytest.approx(a, abs=0.01)
        assert found.estimate(1e20)["N"] == pytest.approx(best(1e20, **parameters), rel=0.05)
        assert found.at(1e22)["a"].shape == (20,)


def test_the_winners_curse_is_said_with_the_lead_of_the_winner():
    (finding,) = envelope(KEY, curves_of(EVEN, sizes=25), replicates=2).findings
    assert finding.code == "WINNERS_CURSE"
    assert 0 < finding.number < 0.01
    assert "noise as large as that chooses among them" in finding.message


def test_approach_1_on_the_chinchilla_points(shared_data, monkeypatch):
    """Hoffmann et al. say a = 0.50; these are final losses of 38 sizes, and no curves."""
    monkeypatch.setenv("BAYESCALE_DATA", str(shared_data))
    runs = data.load("besiroglu2024_chinchilla")
    found = envelope(KEY, runs, replicates=200).at(5.76e23)
    low, middle, high = found.interval("a")
    assert low < 0.51 < high
    assert middle == pytest.approx(0.52, abs=0.03)


def test_envelopes_that_cannot_be():
    with pytest.raises(ValueError, match="there is no factor run whose levels are curves; there are size"):
        envelope(KEY, curves_of(EVEN), by="run")
    with pytest.raises(ValueError, match="among 2 curves by size no two are ever best"):
        envelope(KEY, curves_of(EVEN, sizes=2))


# ---- Beside a law


def test_an_approach_and_the_law_that_made_the_runs_agree():
    """In 60 studies: DISAGREE at 98% and surprise below 2%, each more than 6 times, have chances of 0.1%."""
    rng, disagree, rare = np.random.default_rng(2), 0, 0
    for i in range(60):
        runs = runs_of(EVEN, rng=rng, sigma=0.003)
        found = parabola(jax.random.key(i), runs, replicates=300)
        both = cross_check(jax.random.key(i), fit_of(runs, EVEN, sigma=0.003), found, runs, 1e24)
        disagree += any(finding.code == "DISAGREE" for finding in both.findings)
        rare += both.surprise < 0.02
        assert abs(np.median(both.bias)) < 0.01
    assert disagree <= 6
    assert rare <= 6


def test_they_disagree_where_the_law_is_another():
    runs = runs_of(EVEN, rng=np.random.default_rng(0), sigma=0.001)
    found = parabola(KEY, runs)
    other = EVEN | {"A": 2 * EVEN["A"], "E": 1.4}
    both = cross_check(KEY, fit_of(runs, other, sigma=0.001), found, runs, 1e24)
    (finding,) = [one for one in both.findings if one.code == "DISAGREE"]
    assert finding.severity == "warning"
    assert "if the law is right" in finding.message
    assert "disagree" in both.verdict
    assert {row["by"] for row in both.rows()} == {"parabola", "compute_optimal"}
    told = json.loads(json.dumps(both.to_dict()))
    assert told["surprise"] == both.surprise
    assert told["bias"]["low"] <= told["bias"]["median"] <= told["bias"]["high"]


def test_a_bias_that_explains_the_difference_is_no_reason_to_doubt_the_law():
    runs = runs_of(UNEVEN, rng=np.random.default_rng(0), sigma=0.0005, width=8, sizes=15, drift=3)
    both = cross_check(KEY, fit_of(runs, UNEVEN, sigma=0.0005), parabola(KEY, runs), runs, 1e24)
    (finding,) = [one for one in both.findings if one.code == "DISAGREE"]
    assert finding.severity == "note"
    assert "as it would if the law is right" in finding.message
    bias = parabola_bias(surface_of(UNEVEN), BUDGETS, 1e24, width=8, drift=3)
    assert np.median(both.bias) == pytest.approx(np.log1p(bias.N), abs=0.002)


# ---- Curves of a law


def test_isoflop_curves_are_the_law_and_their_least_is_the_optimum():
    fit = fit_of(runs_of(HOFFMANN), HOFFMANN, draws=50, sd=0.01)
    found = isoflop(fit, [1e20, 1e22], points=401, width=4)
    assert found.loss.shape == (50, 2, 401)
    natural = {p: v[:, None, None] for p, v in fit.parameters().items()}
    np.testing.assert_allclose(found.loss, LAW.mean(found.N, found.D, **natural), rtol=1e-10)
    np.testing.assert_allclose(6 * found.N * found.D, [[1e20] * 401, [1e22] * 401])
    at = found.N[np.arange(2), found.loss.argmin(axis=2)]
    np.testing.assert_allclose(at, found.optima["N"], rtol=0.01)  # a step of the grid is 0.7%
    np.testing.assert_allclose(found.optima["N"][:, 1], compute_optimal(fit, 1e22)["N"])
    low, middle, high = found.interval()
    assert (low <= middle).all()
    assert (middle <= high).all()
    assert found.rows()[401]["C"] == 1e22


def test_isoflop_says_what_is_wrong():
    fit = fit_of(runs_of(HOFFMANN), HOFFMANN, draws=5)
    with pytest.raises(ValueError, match=r"1 points within a factor of 8\.0: take 2 points or more"):
        isoflop(fit, [1e20], points=1)
    with pytest.raises(ValueError, match=r"at 1e\+20 FLOP the optimum of every draw is at a bound"):
        isoflop(fit, [1e20], bounds=(1e12, 1e14))
    with pytest.raises(ValueError, match="C has no values"):
        isoflop(fit, [])
