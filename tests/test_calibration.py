"""Calibration: even ranks where the sampler is right, uneven ones where it is not, and studies that go on."""

import json

import jax
import numpy as np
import pytest
from click.testing import CliRunner
from scipy.stats import binomtest, kstest

from bayescale import models, noise, plot_of_calibration
from bayescale.check import calibrated, trial
from bayescale.check.calibrated import RANKS, Calibration, band
from bayescale.check.calibration import calibrate
from bayescale.check.designs import columns_of
from bayescale.check.trial import dtype_of
from bayescale.cli import main
from bayescale.infer.simulated import from_priors, from_truth, truth_of
from bayescale.model import Model
from bayescale.pooling import Effect
from bayescale.runs import Runs

KEY = jax.random.key(0)
POWER = Model(models.load("power").along("C"), noise.log_normal, effects=())


@pytest.fixture(scope="module")
def design():
    columns = columns_of("isoflop", np.random.default_rng(0), ("C",))
    return Runs.make({**columns, "loss": np.full(len(columns["N"]), 2.0)})


@pytest.fixture(scope="module")
def study(design):
    """The Laplace approximation of a power law, whose posterior is all but normal."""
    at = {"loss at 1e23": lambda fit: fit.mean(fit.centre(), C=1e23)}
    return calibrate(KEY, POWER, design, replicates=192, quantities=at, method="laplace")


def test_the_truth_is_drawn_from_the_priors_and_the_noise(design):
    """Against the distributions themselves; with sound code each p-value is below 1e-4 once in 10,000."""
    keys = jax.random.split(KEY, 2000)
    truth, responses = from_priors(keys, POWER, design)
    alpha, sigma = (truth.flat(name) for name in ("alpha", "sigma"))
    assert kstest((np.log(sigma) - np.log(0.01)) / 1.0, "norm").pvalue > 1e-4  # the prior of the noise
    relative = np.asarray(design.columns["C"]) / float(design.reference["C"])
    mean = truth.flat("A")[:, None] * relative ** -alpha[:, None] * float(design.unit)
    z = np.log(responses / mean) / sigma[:, None]
    assert kstest(z[:, 5], "norm").pvalue > 1e-4
    assert kstest(z.mean(axis=1) * np.sqrt(z.shape[1]), "norm").pvalue > 1e-4


def test_shocks_are_new_in_each_table(design):
    """Runs of a size share a shock: variance of a size's mean residual is shock^2 + sigma^2 / runs, within 6%."""
    runs = Runs.make(
        {
            "C": np.repeat(10 ** np.linspace(18, 21, 6), 4),
            "lab": np.repeat(list("abcdef"), 4),
            "loss": np.full(24, 2.0),
        },
        factors=["lab"],
        duplicates="keep",
    )
    model = Model(POWER.law, noise.log_normal, effects=(Effect("lab"),))
    parameters = {"A": 50.0, "alpha": 0.07, "sigma": 0.01, "lab_effect_scale": 0.03}
    truth, responses = from_truth(jax.random.split(KEY, 1500), truth_of(model, runs, parameters))
    mean = 50.0 * np.asarray(runs.columns["C"]) ** -0.07
    residual = np.log(responses / mean).reshape(-1, 6, 4).mean(axis=2)
    assert residual.var() == pytest.approx(0.03**2 + 0.01**2 / 4, rel=0.06)  # 9,000 means: 4 standard errors
    assert residual.mean(axis=1).var() == pytest.approx(
        residual.var() / 6, rel=0.15
    )  # and they are independent
    assert truth.flat("lab_effect").shape == (1500, 6)


def test_a_sound_approximation_is_calibrated(study):
    """The verdict would be wrong in 1% of studies, with a seed that was not fixed."""
    assert study.verdict.startswith("calibrated: ranks of 5 quantities are even")
    assert study.findings == ()
    for name in study.quantities:
        share = study.coverage(name, 0.9)
        assert binomtest(round(share.value * share.of), share.of, 0.9).pvalue > 1e-3
        mean, sd = study.scores(name)
        assert abs(mean) < 4 / np.sqrt(192)
        assert sd == pytest.approx(0.96, abs=0.2)  # the middle 99% of normal numbers have .96
    assert study.contraction("alpha") > 0.99
    assert {row["quantity"] for row in study.rows()} == {
        "A",
        "alpha",
        "sigma",
        "log likelihood",
        "loss at 1e23",
    }


def test_intervals_that_are_too_narrow_are_found(design, monkeypatch):
    own = trial._fits

    def narrowed(*given):
        def half(values):
            middle = values.mean(axis=1, keepdims=True)
            return middle + (values - middle) / 2

        return [fit.replace(draws={n: half(v) for n, v in fit.draws.items()}) for fit in own(*given)]

    monkeypatch.setattr(trial, "_fits", narrowed)
    found = calibrate(KEY, POWER, design, replicates=96, method="laplace")
    assert set(found.uneven) >= {"A", "alpha", "sigma"}
    assert found.verdict.startswith("NOT CALIBRATED: ")
    assert "CALIBRATION" in {finding.code for finding in found.findings}
    assert found.coverage("alpha", 0.9).high < 0.85  # half as wide: 59%


def test_the_band_holds_as_many_sets_of_even_ranks_as_it_says():
    """99% of sets; that of 4,000 others fewer than 98.3% stay inside has a probability below 1e-5."""
    low, high = band(500)
    rng = np.random.default_rng(1)
    ranks = rng.integers(0, RANKS + 1, (4000, 500))
    up_to = np.stack([(ranks <= k).mean(axis=1) for k in range(RANKS)], axis=1)
    assert 0.983 < np.mean(np.all((low <= up_to) & (up_to <= high), axis=1)) < 0.997


@pytest.mark.parametrize(("count", "quantities", "lean"), [(96, 4, 0.4), (500, 10, 0.2), (1024, 12, 0.15)])
def test_ranks_leave_the_band_where_they_are_less_likely_than_its_level(count, quantities, lean):
    """Of 1,000 sets of ranks that lean, some are outside; each by the band as by the probability of its departure."""
    level = 1 - 0.01 / quantities
    low, high = band(count, level)
    share = 1 + lean * np.sin(np.linspace(0, 6, RANKS + 1))
    counts = np.random.default_rng(2).multinomial(count, share / share.sum(), size=1000)
    up_to = np.cumsum(counts, axis=1)[:, :-1] / count
    outside = np.any((up_to < low) | (up_to > high), axis=1)
    unlikely = np.mean(calibrated._nulls(count) <= calibrated._departure(counts)[:, None], axis=1) < 1 - level
    assert 0.1 < outside.mean() < 0.9
    assert (outside == unlikely).all()


def test_nuts_through_a_folder_goes_on_where_it_was(design, tmp_path):
    """A study that is interrupted after the first block and resumed is, to the bit, the one that was not."""

    class StopError(Exception):
        pass

    def stop(done, total):
        if done == 1:
            raise StopError

    folder, asked = tmp_path / "study", {"replicates": 20, "draws": 100, "warmup": 100}
    with pytest.raises(StopError):
        calibrate(KEY, POWER, design, folder=folder, report=stop, **asked)
    resumed = calibrate(KEY, POWER, design, folder=folder, resume=True, **asked)
    whole = calibrate(KEY, POWER, design, **asked)
    assert resumed.records.tobytes() == whole.records.tobytes()
    assert whole.counts["refused"] == 0
    with pytest.raises(ValueError, match="sampler"):
        calibrate(KEY, POWER, design, folder=folder, resume=True, replicates=20, draws=99)
    with pytest.raises(FileExistsError, match="holds a study already"):
        calibrate(KEY, POWER, design, folder=folder, **asked)


def test_what_is_not_defined_counts_as_the_largest(design):
    """A truth that is left out for what it is would make the ranks of the others uneven."""

    def slow(fit):
        alpha = fit.centre()["alpha"]
        return np.where(alpha > np.median(POWER.law.priors["alpha"].icdf(0.5)), np.nan, alpha)

    found = calibrate(KEY, POWER, design, replicates=128, quantities={"slow": slow}, method="laplace")
    assert len(found.ranks("slow")) == found.counts["converged"]
    assert np.isinf(found.records["truth"][found.records["state"] == 0, found.quantities.index("slow")]).any()
    assert "slow" not in found.uneven


def test_one_truth_tells_of_coverage_and_not_of_ranks(design):
    """Losses of noise twice as wide as the prior of the fit allows for: intervals hold less than they say."""
    narrow = POWER.replace(
        noise=noise.log_normal.replace(priors={"sigma": noise.dist.LogNormal(np.log(0.005), 0.01)})
    )
    truth = truth_of(POWER, design, {"A": 50.0, "alpha": 0.07, "sigma": 0.02})
    found = calibrate(KEY, narrow, design, replicates=48, truth=truth, method="laplace")
    assert found.quantities == ("A", "alpha")
    assert found.uneven == {}
    assert found.coverage("alpha", 0.9).high < 0.7  # a fourth as wide: 32%
    assert "coverage is of one truth" in found.verdict


@pytest.mark.parametrize(("interval", "held"), [("percentile", 0.847), ("studentised", 0.9)])
def test_bootstraps_hold_what_is_known_of_a_mean(interval, held):
    """The law is a constant, of 10 runs: 90% percentile intervals are those of a normal mean with the standard
    deviation by n and not n - 1, which hold P(|t_9| < 1.645 sqrt(.9)) = .847 of means; studentised ones .9. Each is
    found 3 standard errors off once in 370.
    """
    model = Model(models.load("constant"), noise.log_normal, effects=())
    few = Runs.make({"N": np.geomspace(1e8, 1e9, 10), "loss": np.full(10, 2.0)})
    truth = truth_of(model, few, {"c": 3.0, "sigma": 0.01})
    found = calibrate(
        KEY, model, few, replicates=128, truth=truth, method="bootstrap", draws=400, interval=interval
    )
    assert found.counts["converged"] == 128
    assert found.coverage("c", 0.9).value == pytest.approx(held, abs=3 * np.sqrt(held * (1 - held) / 128))


def test_a_bootstrap_resamples_together_what_shares_a_shock():
    """Of 12 labs with 6 runs each and shocks four times the noise, intervals of runs would be 2.4 times too narrow and
    hold 51%; those of labs hold P(|t_11| < 1.645 sqrt(11/12)) = .856, and three standard errors less once in 700.
    """
    labs = np.repeat([f"l{i}" for i in range(12)], 6)
    table = Runs.make(
        {"N": np.geomspace(1e8, 1e9, 72), "loss": np.full(72, 2.0), "lab": labs}, factors=["lab"]
    )
    model = Model(models.load("constant"), noise.log_normal, effects=(Effect("lab"),))
    truth = truth_of(model, table, {"c": 3.0, "sigma": 0.005, "lab_effect_scale": 0.02})
    found = calibrate(KEY, model, table, replicates=96, truth=truth, method="bootstrap", draws=300)
    assert found.coverage("c", 0.9).value > 0.75


def test_tables_without_a_fit_are_counted_and_left_out(design):
    records = np.zeros(100, dtype_of(1))
    records["rank"], records["below"] = 50, 0.5
    records["state"][:5], records["state"][5:8] = 1, 2
    found = Calibration(POWER, design, ("alpha",), (True,), records, "nuts", own=True)
    assert found.counts == {"converged": 92, "not converged": 5, "refused": 3}
    assert found.coverage("alpha", 0.5).of == 92
    assert [f.code for f in found.findings] == [
        "CALIBRATION",
        "LOST_FITS",
    ]  # ranks that are all 50 are not even
    rough = Calibration(POWER, design, ("alpha",), (True,), records, "laplace", own=True)
    assert rough.findings[-1].action == "Sample the posteriors, by the method nuts"
    few = Calibration(POWER, design, ("alpha",), (True,), records[10:20].copy(), "nuts", own=True)
    few.records["rank"][:, 0] = np.arange(0, 100, 10)
    assert few.verdict.startswith("too few tables to tell, though no ranks are uneven")
    many = Calibration(POWER, design, ("alpha",), (True,), np.tile(records, 2), "nuts", own=True)
    many.records["rank"][many.records["state"] == 0, 0] = np.linspace(0, 100, 184)
    said = "calibrated, where fits converge: ranks of 1 quantities are even; 184 of 200 fits converged"
    assert many.verdict == said
    records["state"] = 2
    assert found.verdict == "NOT CALIBRATED: 0 of 100 fits converged"


def test_it_is_said_for_what_truths_fits_do_not_converge(design):
    """By chance a truth is told of once in a hundred studies; where half of a fifth is lost, always."""
    names = ("A", "alpha", "log likelihood")
    rng = np.random.default_rng(1)
    records = np.zeros(500, dtype_of(3))
    records["truth"] = rng.normal(size=(500, 3))
    records["state"] = rng.random(500) < 0.2
    found = Calibration(POWER, design, names, (True, True, False), records, "nuts", own=True)
    (said,) = (f.message for f in found.findings if f.code == "LOST_FITS")
    assert "by fifths" not in said
    order = np.argsort(records["truth"][:, 1])
    records["state"] = 0
    records["state"][order[:50]] = 1  # half of the lowest fifth
    records["state"][order[490:]] = 1  # a tenth of the highest
    np.testing.assert_array_equal(found.lost_by("alpha"), [0.5, 0, 0, 0, 0.1])
    (said,) = (f.message for f in found.findings if f.code == "LOST_FITS")
    assert "60 of 500 fits did not converge, and 0 tables had none; by fifths of the true alpha" in said
    assert said.endswith("from the lowest, 50%, 0%, 0%, 0%, 10% did not: what is said is of the others")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"replicates": 0}, "replicates is 0; it is 1 or more"),
        ({"method": "guess"}, "method is 'guess'; it is one of nuts, lanes, laplace, bootstrap"),
        ({"method": "bootstrap", "chains": 2}, "a bootstrap has no setting 'chains'; it has draws, interval"),
        ({"method": "bootstrap", "interval": "t"}, "there is no interval 't'; there are percentile"),
    ],
)
def test_what_makes_no_sense_is_refused(design, wrong, message):
    with pytest.raises(ValueError, match=message):
        calibrate(KEY, POWER, design, **wrong)


def test_a_truth_has_every_parameter(design):
    with pytest.raises(ValueError, match="sigma is missing; the truth of this model has A, alpha, sigma"):
        truth_of(POWER, design, {"A": 1.0, "alpha": 0.1})
    with pytest.raises(ValueError, match="tau is unknown"):
        truth_of(POWER, design, {"A": 1.0, "alpha": 0.1, "sigma": 0.1, "tau": 1.0})


def test_from_the_command_line(tmp_path):
    file, table = tmp_path / "study", tmp_path / "table.csv"
    asked = ["calibrate", "--law", "power", "--along", "C", "--noise", "log_normal", "--method", "laplace"]
    done = CliRunner().invoke(
        main,
        [*asked, "--replicates", "30", "--at", "C=1e23", "--out", str(file), "--csv", str(table), "--json"],
    )
    assert done.exit_code == 0, done.output
    said = json.loads(done.output)
    assert [row["quantity"] for row in said["quantities"]] == [
        "A",
        "alpha",
        "sigma",
        "log likelihood",
        "loss at C=1e23",
    ]
    assert said["counts"]["converged"] == 30
    assert table.read_text().startswith("quantity,evenness,cover50,")
    again = CliRunner().invoke(
        main, [*asked, "--replicates", "30", "--at", "C=1e23", "--out", str(file), "--resume"]
    )
    assert again.exit_code == 0, again.output
    assert "too few tables to tell, though no ranks are uneven; 30 of 30 fits converged" in again.output


def test_a_law_of_success_has_a_design_from_the_command_line():
    asked = ["calibrate", "--law", "logistic", "--along", "C", "--noise", "binomial", "--method", "laplace"]
    done = CliRunner().invoke(main, [*asked, "--trials", "500", "--replicates", "8"])
    assert done.exit_code == 0, done.output
    assert "8 tables of 42 runs" in done.output
    few = CliRunner().invoke(main, [*asked, "--trials", "1", "--replicates", "8", "--json"])
    many = CliRunner().invoke(main, [*asked, "--trials", "500", "--replicates", "8", "--json"])
    told = [json.loads(one.output)["quantities"][0]["contraction"] for one in (few, many)]
    assert told[0] < told[1]  # of the threshold, of which tries tell
    assert "false alarms: of sound models 1% are called uneven" in done.output


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (["--law", "logistic", "--along", "size"], "no design has a column size; give a table of your own"),
        (
            ["--law", "chinchilla", "--compute", "1e20"],
            "--compute is '1e20'; write the least and the greatest",
        ),
        (["--law", "chinchilla", "--compute", "1e20,1e19"], "the first is less than the second"),
        (
            ["--law", "chinchilla", "--trials", "9"],
            "--trials is for laws of success, and chinchilla is of a loss",
        ),
        (["--law", "chinchilla", "--resume"], "--resume goes on with the study in a folder"),
        (["--law", "chinchilla", "--budget", "abc"], "--budget is 'abc'; it is a number of FLOP"),
        (["--law", "chinchilla", "--target", "-2"], "--target is '-2'; it is a loss, such as 2.1"),
        (
            ["--law", "power", "--along", "C", "--target", "2"],
            "--target: law power is not a law in N and D",
        ),
        (["--law", "chinchilla", "--interval", "bca"], "--interval is for --method bootstrap"),
        (["--law", "chinchilla", "--where", "N > 1"], "--where is for a table, and there is none"),
    ],
)
def test_what_makes_no_sense_on_the_command_line_is_refused(wrong, message):
    done = CliRunner().invoke(main, ["calibrate", *wrong])
    assert done.exit_code == 2
    assert message in done.output


def test_the_figure_has_a_panel_for_each_quantity_and_one_of_coverage(study, design):
    figure = plot_of_calibration.calibration(study)
    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert titles == [*study.quantities, "how often intervals held"]
    axes = plot_of_calibration.ranks(study, "alpha")
    (line,) = [one for one in axes.lines if len(one.get_ydata()) == RANKS]
    share = [(study.ranks("alpha") <= rank).mean() for rank in range(RANKS)]
    assert line.get_ydata() == pytest.approx(share - np.arange(1, RANKS + 1) / (RANKS + 1))
    held = plot_of_calibration.coverage(study)
    points = next(one for one in held.lines if one.get_marker() == "o")
    assert points.get_ydata() == pytest.approx([study.coverage(q, 0.5).value for q in study.quantities])
