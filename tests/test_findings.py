"""Findings: each is made where its cause is, and is not where it is not."""

import jax
import numpy as np
import numpyro.distributions as dist
import pytest
from numpyro.distributions import biject_to

from bayescale import models, noise, parallel
from bayescale.check.finding import SEVERITIES, Finding
from bayescale.check.findings import findings
from bayescale.check.floors import exponents_of, lifted, pinned
from bayescale.check.of_fits import learned
from bayescale.check.published import published
from bayescale.fit import Fit
from bayescale.law import Law, irrelevant
from bayescale.model import Model
from bayescale.pooling import Effect
from bayescale.runs import Runs

LAW = models.load("chinchilla")
GOOD = {
    "at_bound": [],
    "mode_converged": True,
    "pareto_k": 0.1,
    "rival": np.inf,
    "mode_agreed": 9,
    "mode_starts": 9,
}


def table(tokens=None, runs=24, rows=1):
    """Runs with so many rows of each; losses that a law with the middle of its priors would have."""
    N = np.geomspace(1e8, 1e10, runs)
    D = np.tile([2e9, 3e10, 2e11], runs)[:runs] if tokens is None else tokens * N
    named = [str(i // rows) for i in range(runs)]
    return Runs.make({"N": N, "D": D, "loss": np.linspace(3.3, 2.1, runs), "run": named}, factors=["run"])


def fit_of(runs=None, *, prior=(), draws=2000, effects=(), method="laplace", **stats):
    """A fit that learned everything but the parameters in `prior`, of which it returns the prior."""
    runs = table() if runs is None else runs
    model = Model(LAW, noise.log_normal, effects=effects)
    with parallel.workbench():
        found = {}
        for i, (name, of) in enumerate(model.priors.items()):
            drawn = of.sample(jax.random.fold_in(jax.random.key(1), i), (draws,))
            inside = biject_to(of.support).inv(drawn)
            learned = inside.mean() + 0.1 * (inside - inside.mean())
            moved = drawn if name in prior else biject_to(of.support)(learned)
            found[name] = np.asarray(moved)[None]
    for effect in effects:
        found[f"{effect.by}_effect_scale"] = np.linspace(0.004, 0.006, draws)[None]
        found[f"{effect.by}_effect"] = np.zeros((1, draws, len(runs.levels[effect.by])))
    return Fit(model, runs, found, method, GOOD | stats)


def codes(fit):
    return [finding.code for finding in findings(fit)]


def test_a_good_fit_has_nothing_to_say():
    assert findings(fit_of()) == ()


@pytest.mark.parametrize(("E", "reached"), [(0.9, False), (0.975, False), (0.985, True), (0.999, True)])
def test_runs_that_have_come_down_to_the_floor(E, reached):
    """Two scales of a noise of 0.01 below the least loss are 0.980 of it."""
    fit = fit_of()
    at = {"E": np.linspace(E - 0.001, E, 2000)[None], "sigma": np.full((1, 2000), 0.01)}
    assert ("FLOOR_REACHED" in codes(fit.replace(draws=fit.draws | at))) is reached


def test_a_floor_told_by_its_prior_was_not_reached():
    fit = fit_of(prior=["E"])
    wide = {"sigma": np.full((1, 2000), 0.2)}  # in half of the prior E is within two of it
    assert np.mean(fit.flat("E") > np.exp(-0.4)) > 0.4
    assert "FLOOR_REACHED" not in codes(fit.replace(draws=fit.draws | wide))


def test_a_sampler_in_difficulty():
    depth = {"depth": 10, "tree_depth": np.full((2, 100), 5)}
    assert findings(fit_of(e_bfmi=[0.31, 0.9], **depth)) == ()
    (found,) = findings(fit_of(e_bfmi=[0.29, 0.9], **depth))
    assert (found.code, found.severity, found.number) == ("ENERGY", "warning", 0.29)
    assert codes(fit_of(e_bfmi=[np.nan])) == ["ENERGY"]
    depth["tree_depth"][0, :4] = 10
    (found,) = findings(fit_of(**depth))
    assert (found.code, found.severity, found.number) == ("TREE_DEPTH", "warning", 0.02)


def test_not_converged():
    (found,) = findings(fit_of(pareto_k=0.9))
    assert (found.code, found.severity) == ("NOT_CONVERGED", "severe")
    assert "Pareto-k 0.90" in str(found)
    assert str(found).startswith("SEVERE NOT_CONVERGED: the laplace fit has not converged")
    assert found.action == "Take nothing from it; sample it with nuts, or choose a law with fewer parameters"


def test_a_parameter_at_its_bound():
    fit = fit_of(draws=1, method="map", at_bound=["E"])
    found = {finding.code: finding for finding in findings(fit)}
    assert set(found) == {"NOT_CONVERGED", "AT_BOUND"}
    assert found["AT_BOUND"].message == "E ran to its bound: the data do not tell it from 0"


def test_what_the_data_say_little_of():
    (found,) = findings(fit_of(prior=("beta",)))
    assert (found.code, found.severity) == ("PRIOR_DOMINATED", "warning")
    assert found.message.startswith("the data say little about beta beyond its prior: contraction ")
    # The variance of 2000 draws is known to 3%, so that the contraction is 0 to within 0.15 (5 sd).
    assert abs(found.number) < 0.15


def test_a_floor_that_was_not_learned():
    (found,) = findings(fit_of(prior=("E",)))
    assert (found.code, found.severity) == ("FLOOR_PRIOR", "warning")
    assert found.message.startswith("the floor was not learned: the posterior of E is 0.0")
    assert abs(found.number) < 0.02
    # A point has no posterior, and a bootstrap no prior.
    assert codes(fit_of(prior=("E",), draws=1, method="map")) == []


@pytest.mark.parametrize(("shift", "narrow"), [(0.0, 1.0), (0.0, 0.5), (0.0, 0.3), (1.0, 0.5), (-0.7, 0.4)])
def test_how_far_a_posterior_is_from_its_prior(shift, narrow):
    """Against the closed form of two normal distributions, on the logit, where the prior of a floor is one.

    20 bins lose some of it; what 20,000 draws leave open is under 0.02.
    """
    fit = fit_of(draws=20_000)
    normal = np.random.default_rng(0).normal(1 + 1.5 * shift, 1.5 * narrow, (1, 20_000))
    fit = fit.replace(draws=fit.draws | {"E": 1 / (1 + np.exp(-normal))})
    exact = -np.log(narrow) + (narrow**2 + shift**2 - 1) / 2
    assert learned(fit, "E") == pytest.approx(exact, abs=0.02 + 0.05 * exact)


def test_a_point_fit_has_no_contraction():
    assert codes(fit_of(prior=("E",), draws=1, method="map")) == []


@pytest.mark.parametrize(("rival", "expected"), [(0.7, ["SECOND_MODE"]), (5.1, []), (np.inf, [])])
def test_a_second_mode(rival, expected):
    found = findings(fit_of(rival=rival))
    assert [f.code for f in found] == expected
    assert all("only 0.7 nats lower" in f.message for f in found)


def test_a_design_along_one_line():
    (found,) = findings(fit_of(table(tokens=20)))
    assert (found.code, found.severity) == ("COLLINEAR", "severe")
    assert found.number == pytest.approx(1.0)
    random = np.random.default_rng(0)
    assert codes(fit_of(table(tokens=20 * np.exp(0.4 * random.standard_normal(24))))) == ["COLLINEAR"]


def test_one_size_is_not_a_line():
    D = np.geomspace(1e9, 1e12, 24)
    runs = Runs.make({"N": np.full(24, 1e9), "D": D, "loss": np.linspace(3.3, 2.1, 24)})
    assert "COLLINEAR" not in codes(fit_of(runs))


def test_few_runs():
    assert codes(fit_of(table(runs=15))) == []
    (found,) = findings(fit_of(table(runs=14)))
    assert (found.code, found.number) == ("FEW_RUNS", 14)
    assert "15 or more in all" in found.action


def test_the_effects_in_the_model():
    every = {one.code: one for one in findings(fit_of(table(rows=2), effects=(Effect("run"),)))}
    assert "DUP_RUN" not in every
    found = every["EFFECTS"]
    assert found.severity == "note"
    assert found.number == pytest.approx(0.005)
    assert "runs of one run share a shock" in found.message
    assert "its sd is 0.005 (90% interval 0.0041 to 0.0059) of the loss" in found.message
    point = {
        one.code: one
        for one in findings(fit_of(table(rows=2), effects=(Effect("run"),), draws=1, method="map"))
    }
    assert "interval" not in point["EFFECTS"].message


def test_the_most_severe_comes_first():
    fit = fit_of(
        table(20, runs=14, rows=2), prior=("E", "beta"), effects=(Effect("run"),), rival=1, pareto_k=0.8
    )
    found = findings(fit)
    assert {f.code for f in found} == {
        "NOT_CONVERGED", "COLLINEAR", "FEW_RUNS", "FLOOR_PRIOR", "PRIOR_DOMINATED", "SECOND_MODE", "EFFECTS",
        "MIDSCHED",
    }  # fmt: skip
    order = [SEVERITIES.index(f.severity) for f in found]
    assert order == sorted(order, reverse=True)


def test_a_finding_reads_as_a_sentence():
    said = str(Finding("FEW_RUNS", "warning", "3 runs for 5 parameters", 3, "Add runs"))
    assert said == "WARNING FEW_RUNS: 3 runs for 5 parameters. Add runs."


def test_several_rows_of_a_run_and_no_effect():
    found, *_ = findings(fit_of(table(rows=2)))
    assert (found.code, found.severity, found.number) == ("DUP_RUN", "severe", 1.0)


# ---- Floors that are fixed


def test_a_floor_with_a_narrow_prior_is_fixed():
    law = LAW.replace(priors={"E": dist.LogNormal(np.log(0.7), 0.01)})
    assert pinned(law) == pytest.approx(0.7, rel=0.01)
    assert pinned(LAW) is None
    fit = fit_of().replace(model=Model(law, noise.log_normal, effects=()))
    (found,) = [one for one in findings(fit) if one.code != "PRIOR_DOMINATED"]
    assert (found.code, found.severity) == ("FLOOR_PINNED", "warning")
    assert found.number == pytest.approx(0.7 * 2.1, rel=0.01)
    assert found.message.startswith("the floor is fixed at 1.47, to 5%, and not learned")


@pytest.mark.parametrize("name", models.names())
def test_no_law_of_the_catalogue_has_a_fixed_floor(name):
    law = models.load(name)
    assert pinned(law.along("C") if law.covariates == ("x",) else law) is None


def test_a_floor_in_the_formula_is_fixed_and_can_be_lifted(workbench):
    def mean(C, *, A, alpha):
        return 0.6 + A * C**-alpha

    priors = {"A": dist.LogNormal(-1.2, 1.0), "alpha": dist.LogNormal(-2.5, 0.5)}
    law = Law(name="marin", mean=mean, priors=priors, source="a test")
    assert pinned(law) == pytest.approx(0.6, rel=1e-6)
    other = lifted(law, 0.6)
    assert other.covariates == ("C", "lift")
    assert other.parameters == ("A", "alpha")
    at = {"A": 0.5, "alpha": 0.1}
    for lift in (0.8, 1.0, 1.2):
        expected = 0.6 * lift + 0.5 * 3.0**-0.1
        assert np.asarray(other({"C": 3.0, "lift": lift}, at)) == pytest.approx(expected, rel=1e-12)


def test_exponents_are_what_no_unit_is_in():
    assert exponents_of(fit_of()) == ("alpha", "beta")


# ---- What does not matter


@pytest.mark.parametrize(
    ("middle", "sd", "fires"), [(0.0, 0.005, True), (0.0, 0.03, False), (0.03, 0.005, False)]
)
def test_a_covariate_that_does_not_matter(middle, sd, fires):
    """Savage and Dickey: the prior of gamma is Normal(0, .05), so the odds against it are .05 / sd at a middle of 0."""
    law = irrelevant(LAW, "gpus")
    runs = table()
    runs = runs.replace(
        columns=runs.columns | {"gpus": np.geomspace(8, 512, 24)},
        reference=runs.reference | {"gpus": np.float64(64.0)},
    )
    fit = fit_of(runs)
    gamma = np.random.default_rng(0).normal(size=(1, 2000))
    gamma = middle + sd * (gamma - gamma.mean()) / gamma.std(ddof=1)
    fit = fit.replace(model=Model(law, noise.log_normal, effects=()), draws=fit.draws | {"gamma_gpus": gamma})
    found = {one.code: one for one in findings(fit)}
    assert ("IRRELEVANT" in found) is fires
    if fires:
        assert found["IRRELEVANT"].number == pytest.approx(0.05 / sd, rel=1e-3)
        assert (
            "there is no law in gpus: the runs are 10 times as likely where chinchilla does without"
            in str(found["IRRELEVANT"])
        )


# ---- Runs that stand out


def around(off=(), scatter=0.004, nu=None):
    """A fit with the parameters that its runs were made with, some of them off by so many scales of the noise."""
    rng = np.random.default_rng(1)
    truth = {"E": 1.8, "A": 480.0, "B": 2085.0, "alpha": 0.35, "beta": 0.37}
    N, D = 10 ** rng.uniform(8, 10, 40), 10 ** rng.uniform(9.5, 12, 40)
    loss = np.asarray(LAW.mean(N, D, **truth)) * np.exp(scatter * rng.normal(size=40))
    for row, scales in off:
        loss[row] *= np.exp(scatter * scales)
    runs = Runs.make({"N": N, "D": D, "loss": loss})
    with parallel.workbench():
        relative = LAW.to_reference(truth, runs.reference, runs.unit)
    jitter = {p: 1 + 1e-3 * rng.normal(size=(1, 400)) for p in relative}
    draws = {p: np.asarray(v, float) * jitter[p] for p, v in relative.items()}
    draws["sigma"] = np.full((1, 400), scatter)
    kind = noise.log_normal if nu is None else noise.student_t
    if nu is not None:
        draws["nu"] = np.asarray(nu, float) * np.ones((1, 400))
    model = Model(LAW, kind, effects=())
    return Fit(model, runs, draws, "laplace", GOOD)


def test_runs_that_a_fit_hangs_on():
    assert "OUTLIER" not in codes(around())
    assert "OUTLIER" not in codes(around(off=[(3, 4.0)]))
    found = {one.code: one for one in findings(around(off=[(3, 30.0), (17, -60.0)]))}["OUTLIER"]
    assert found.severity == "warning"
    assert found.number > 0.7
    assert found.message.startswith("the fit hangs on runs far from the others, with a Pareto-k of up to")
    assert found.message.index("row 18 (N") < found.message.index("row 4 (N")
    assert "--noise student_t" in found.action


def test_noise_with_heavy_tails():
    found = {one.code: one for one in findings(around(off=[(3, 30.0)], nu=2.5))}["OUTLIER"]
    assert found.number == pytest.approx(2.5)
    assert found.message.startswith(
        "the tails of the noise are heavy, Student's t with 2.5 degrees of freedom: row 4"
    )
    nothing = {one.code: one for one in findings(around(nu=2.5))}["OUTLIER"]
    assert "no run stands out alone" in nothing.message
    # Half of the posterior above 4 tells nothing.
    assert "OUTLIER" not in codes(around(nu=np.tile([3.0, 5.0], 200)))


def test_of_so_few_runs_none_stands_out():
    fit = around(off=[(3, 30.0), (7, -60.0)])
    assert "OUTLIER" in codes(fit)
    weight = (np.arange(40) < 9).astype(float)
    assert "OUTLIER" not in codes(fit.replace(runs=fit.runs.replace(weight=weight)))


def test_printed_parameters_have_their_digits_told():
    fit = published(LAW, {"E": "1.69", "A": "406.4", "B": "410.7", "alpha": "0.34", "beta": "0.28"})
    (found,) = findings(fit)
    assert (found.code, found.number) == ("ROUND", 2)
