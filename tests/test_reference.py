"""Reference posteriors of public data, and groups strong and weak, under stated priors.

The numbers were computed with other code. A tolerance is that of the reference, and the number of draws is such
that Monte-Carlo error is a fourth of it or less: with an effective sample size of 4,000 a mean is good to
0.016 sd, and a standard deviation to 1.1% where the posterior is normal.
"""

import importlib.util
import re
from pathlib import Path

import jax
import numpy as np
import numpyro.distributions as dist
import pytest

from bayescale import data, models, noise
from bayescale.decide.allocate import compute_optimal
from bayescale.decide.better import better, left_out, rivals
from bayescale.decide.efficiency import regret
from bayescale.decide.gain import relative_efficiency
from bayescale.decide.invert import compute_for
from bayescale.infer.nuts import nuts
from bayescale.model import Model
from bayescale.pooling import Effect, Pooling
from bayescale.runs import Runs

LAW = models.load("chinchilla")
ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def chinchilla(shared_data):
    runs = Runs.read(shared_data / "loss_besiroglu2024_chinchilla.csv", where="in_fit_subset = 1")
    assert len(runs) == 240
    return runs


def as_in_the_reference(runs, scatter, effects=()):
    """The priors of check 3, on log A and log B at the geometric mean of the design, in nats."""
    term, exponent = dist.LogNormal(np.log(0.4 / runs.unit), 1.0), dist.LogNormal(np.log(0.3), 0.5)
    law = LAW.replace(priors={"A": term, "B": term, "alpha": exponent, "beta": exponent})
    scatter = scatter.replace(priors={"sigma": dist.LogNormal(np.log(0.02), 1.0)})
    return Model(law, scatter, effects=effects)


def sound(fit):
    assert fit.stats["attempt"] == 1
    assert fit.stats["diverging"].sum() == 0
    assert max(np.max(found[..., 0]) for found in fit.diagnostics.values()) < 1.01
    assert fit.converged, fit.verdict


@pytest.fixture(scope="module")
def student(chinchilla):
    return nuts(jax.random.key(0), as_in_the_reference(chinchilla, noise.student_t), chinchilla, draws=2000)


@pytest.fixture(scope="module")
def normal(chinchilla):
    return nuts(jax.random.key(1), as_in_the_reference(chinchilla, noise.log_normal), chinchilla, draws=2000)


@pytest.fixture(scope="module")
def by_size(chinchilla):
    effects = (Effect("size", dist.HalfNormal(0.01)),)
    return nuts(jax.random.key(2), as_in_the_reference(chinchilla, noise.student_t, effects), chinchilla)


def test_the_chinchilla_points_with_student_t_noise(student):
    fit = student
    sound(fit)
    parameters = fit.parameters()
    for name, mean, error, sd in (
        ("alpha", 0.3452, 0.002, 0.0091),
        ("beta", 0.3608, 0.002, 0.0099),
        ("E", 1.807, 0.003, 0.0149),
    ):
        assert parameters[name].mean() == pytest.approx(mean, abs=error), name
        assert parameters[name].std() == pytest.approx(sd, rel=0.1), name
    split = parameters["beta"] / (parameters["alpha"] + parameters["beta"])
    assert split.mean() == pytest.approx(0.511, abs=0.002)
    assert fit.flat("nu").mean() == pytest.approx(2.9, abs=0.3)


def test_the_chinchilla_points_with_normal_noise(normal):
    sound(normal)
    parameters = normal.parameters()
    for name, mean in (("alpha", 0.3596), ("beta", 0.4052), ("E", 1.8628)):
        assert parameters[name].mean() == pytest.approx(mean, abs=0.003), name


def test_the_chinchilla_points_with_shocks_by_size(chinchilla, by_size):
    assert len(chinchilla.levels["size"]) == 38
    fit = by_size
    sound(fit)
    parameters = fit.parameters()
    alpha, beta = parameters["alpha"], parameters["beta"]
    assert fit.flat("size_effect_scale").mean() == pytest.approx(0.0034, abs=0.0007)
    assert (beta / (alpha + beta)).mean() == pytest.approx(0.500, abs=0.004)
    # Where alpha A N^-alpha = beta B D^-beta and 6 N D = C the loss is least: Hoffmann et al. 2022, equation 4.
    compute = 5.76e23
    ratio = (alpha * parameters["A"] / (beta * parameters["B"])) ** (1 / (alpha + beta))
    N = ratio * (compute / 6) ** (beta / (alpha + beta))
    tokens_per_parameter = compute / (6 * N**2)
    assert np.median(tokens_per_parameter) == pytest.approx(23.7, abs=2)


# ---- Decisions by these posteriors

GOPHER, CHINCHILLA = {"N": 280e9, "D": 300e9}, {"N": 70e9, "D": 1.4e12}
SMALL, LARGE = {"N": 10e9, "D": 1.7e12}, {"N": 100e9, "D": 170e9}  # at 1e23 FLOP


@pytest.fixture(scope="module")
def posteriors(student, normal, by_size):
    """2,000 draws of each: a quantile of 5% is then good to a tenth of the sd, 2% of D/N."""
    fits = {"Student-t": student, "normal": normal, "Student-t, shocks by size": by_size}
    steps = {name: len(fit) // 2000 for name, fit in fits.items()}
    return {
        name: fit.replace(draws={k: v[:, :: steps[name]] for k, v in fit.draws.items()})
        for name, fit in fits.items()
    }


def test_chinchilla_saves_half_of_gophers_compute_and_not_two_thirds(posteriors):
    expected = {
        "Student-t": (1.71, 2.02, 2.34),
        "normal": (1.56, 1.86, 2.20),
        "Student-t, shocks by size": (1.93, 2.31, 2.73),
    }
    for name, fit in posteriors.items():
        found = relative_efficiency(fit, CHINCHILLA, GOPHER).interval("gain")
        assert found == pytest.approx(expected[name], abs=0.04 if name == "Student-t" else 0.06), name
    excess = better(posteriors["Student-t"], GOPHER, CHINCHILLA).interval("difference")
    assert excess == pytest.approx((0.0210, 0.0262, 0.0313), abs=6e-4)


def test_which_of_two_models_is_better_is_for_the_noise_to_say(posteriors):
    elpd = left_out(posteriors)
    found = rivals(posteriors, lambda fit: better(fit, SMALL, LARGE), "difference", below=0, elpd=elpd)
    expected = {
        "Student-t": (0.80, 0.04),
        "normal": (0.375, 0.04),
        "Student-t, shocks by size": (0.97, 0.02),
    }
    for name, (probability, error) in expected.items():
        assert found.probabilities[name] == pytest.approx(probability, abs=error), name
    assert [(f.code, f.severity) for f in found.findings] == [("MODELSENS", "note")]


def test_what_a_loss_takes_by_the_posterior(posteriors):
    student = posteriors["Student-t"]
    for loss, median, error in ((2.00, 2.14e23, 0.05), (1.95, 1.17e24, 0.05), (1.90, 1.35e25, 0.1)):
        found = compute_for(student, loss)
        assert found.interval("C")[1] == pytest.approx(median, rel=error)
        assert found.defined("C") == 1
    assert compute_for(student, 1.9744 / 10).defined("C") == 0
    assert {f.code for f in found.findings} == {"EXTRAP"}


def test_the_split_may_be_uncertain_and_acting_on_it_costs_little(posteriors):
    student, by_size = posteriors["Student-t"], posteriors["Student-t, shocks by size"]
    found = compute_optimal(student, 5.76e23)
    assert found.interval("D/N") == pytest.approx((13.3, 18.8, 26.5), rel=0.04)
    assert found.choice["N"] == pytest.approx(7.16e10, rel=0.02)
    assert found.regret.mean() == pytest.approx(0.004, abs=0.001)
    assert np.quantile(found.regret, 0.95) == pytest.approx(0.015, abs=0.003)
    sizes = regret(student, 5.76e23, N=[4e10, 7.14e10, 1.2e11])
    means = sizes["deadweight loss"].mean(axis=0)
    assert means == pytest.approx([0.114, 0.004, 0.093], abs=0.006)
    assert compute_optimal(by_size, 5.76e23).interval("D/N") == pytest.approx((16.5, 23.7, 34.2), rel=0.06)


def test_the_example_says_what_its_page_says(posteriors):
    """With other priors, so that only what the tables are about has to agree; test_examples.py holds the numbers."""
    spec = importlib.util.spec_from_file_location("notes", ROOT / "examples" / "notes.py")
    assert spec is not None
    assert spec.loader is not None
    notes = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(notes)
    made = notes.page(notes.sections(posteriors)).splitlines()
    kept = (ROOT / "examples" / "notes.md").read_text(encoding="utf-8").splitlines()
    assert len(made) == len(kept)
    for ours, theirs in zip(made, kept, strict=True):
        if not ours.startswith("| "):
            assert re.sub(r"[\d.]+", "", ours) == re.sub(r"[\d.]+", "", theirs)
        else:
            assert ours.split(" | ")[0] == theirs.split(" | ")[0]


# Tied fits of each corpus alone: exponent and its error; as far as can be told from all 34 or 35 runs
# of a corpus and not on the five that the paper fits: Student-t noise on all runs has its greatest likelihood at
# .252, .262 and .262 with floors of 1.57, 1.76 and 1.80, least squares on the five .246, .276 and .256.
ALONE = {"c4": (0.251, 0.054), "redpajama": (0.258, 0.031), "refinedweb": (0.258, 0.038)}


def test_three_corpora_share_what_they_know_of_the_exponent():
    """At its defaults, and of four keys one at most needs the automatic second try, for a divergence or two.

    Of twelve keys three did, so that other bits would fail this one time in four.
    """
    runs = data.load("gadre2024_overtrain", where=None)
    assert len(runs) == 104
    pooled = Model(
        models.load("chinchilla_tied"), noise.log_normal, (Pooling(("E", "B"), by="group"),), effects=()
    )
    fits = [nuts(jax.random.key(seed), pooled, runs) for seed in range(4)]
    assert sum(fit.stats["attempt"] == 1 for fit in fits) >= 3
    for fit in fits:
        assert fit.stats["diverging"].sum() == 0
        assert max(np.max(found[..., 0]) for found in fit.diagnostics.values()) < 1.01
        assert fit.converged, fit.verdict
        alpha = fit.flat("alpha")
        for exponent, error in ALONE.values():
            assert alpha.mean() == pytest.approx(exponent, abs=error)
            assert alpha.std() < error


# ---- Groups


@pytest.mark.parametrize("design", ["strong", "weak"])
def test_no_divergences_with_few_strong_groups_and_many_weak_ones(benchmark, design):
    """3 corpora of 80 runs and 40 of 5, at the default target of acceptance, without a second try."""
    pooling = benchmark("pooling")
    runs, own = pooling.simulate(design)
    fit = nuts(jax.random.key(0), pooling.model(), runs, retry=False)
    assert len(fit) == 4000
    sound(fit)
    # Each corpus where it should be: over the corpora the squared z-scores of E average about 1.
    levels = fit.flat("E")[:, None] * np.exp(fit.flat("E_by_corpus")) * runs.unit
    names = [int(level.split()[1]) for level in runs.levels["corpus"]]
    z = (levels.mean(axis=0) - own["E"][names]) / levels.std(axis=0)
    # Levels share errors, so the bound is that of one z-score: 3.5 is passed by chance once in 2,000.
    assert np.sqrt(np.mean(z**2)) < 3.5
