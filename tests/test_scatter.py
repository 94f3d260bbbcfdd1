"""NOISE_SCALE: said where the noise is wider at one end, and not where it is of one scale."""

import jax
import numpy as np
import pytest
from click.testing import CliRunner

from bayescale import models, noise
from bayescale.check.findings import findings
from bayescale.check.scatter import TIMES, directions, uneven, widening
from bayescale.check.simulate import simulate
from bayescale.check.widened import widen
from bayescale.cli import main
from bayescale.infer.optimize import laplace, optimize
from bayescale.model import Model
from bayescale.page import reproduce
from bayescale.runs import Runs
from bayescale.storage import load


def test_how_often_noise_of_one_scale_looks_uneven():
    """Of 4,000 sets with heavy tails at most 1% are below 1%, within three standard errors: once in 700."""
    rng = np.random.default_rng(0)
    along = rng.normal(size=60)
    chances = [widening(rng.standard_t(3, 60), along, "highest")[0] for _ in range(4000)]
    assert np.mean(np.array(chances) < 0.01) < 0.01 + 3 * np.sqrt(0.01 / 4000)


@pytest.mark.parametrize("end", ["lowest", "highest"])
def test_how_much_wider(end):
    """The ratio of spreads is 2.6 within 4 standard errors of some 3%."""
    rng = np.random.default_rng(1)
    along = rng.normal(size=20_000)
    there = along <= np.quantile(along, 0.2) if end == "lowest" else along >= np.quantile(along, 0.8)
    chance, times = widening(rng.normal(size=20_000) * np.where(there, 2.6, 1.0), along, end)
    assert times == pytest.approx(2.6, rel=0.12)
    assert chance < 1e-100


def table(seed, wide):
    law = models.load("chinchilla")
    truth = {"E": 1.8172, "A": 477.83, "B": 2143.4, "alpha": 0.34731, "beta": 0.36717}
    made = simulate(seed, law, truth=truth, design="random", runs=120, noise="log_normal", sigma=1e-12)
    columns = {name: np.asarray(made.columns[name]) for name in ("N", "D", "loss")}
    ratio = columns["D"] / columns["N"]
    scale = 0.005 * np.where(ratio <= np.quantile(ratio, 0.2), wide, 1.0)
    columns["loss"] = columns["loss"] * np.exp(scale * np.random.default_rng(seed).normal(size=len(ratio)))
    return Runs.make(columns)


def said(runs, scatter=noise.log_normal):
    fit = laplace(jax.random.key(0), Model(models.load("chinchilla"), scatter, effects=()), runs)
    return {one.code: one for one in findings(fit)}


def test_uneven_noise_is_told_and_even_noise_is_not():
    found = said(table(3, 6.0))["NOISE_SCALE"]
    assert "in the lowest fifth of D/N" in found.message
    assert "--noise-steps D/N" in found.action
    assert found.number > TIMES
    assert all("NOISE_SCALE" not in said(table(seed, 1.0)) for seed in range(5))


def test_what_the_scale_depends_on_is_not_asked_again():
    runs = table(3, 6.0)
    fit = laplace(
        jax.random.key(0), Model(models.load("chinchilla"), noise.log_normal.scaled("D/N"), effects=()), runs
    )
    assert set(directions(fit)) == {"N", "D"}


def test_steps_are_put_in_where_they_are_called_for_and_not_where_they_are_not():
    law, runs = models.load("chinchilla"), table(3, 6.0)
    fit = laplace(jax.random.key(0), Model(law, noise.log_normal, effects=()), runs)
    wide, told = widen(jax.random.key(1), fit)
    assert [one.code for one in told] == ["NOISE_SCALE"]
    assert "--noise-steps none" in told[0].action
    assert wide.model.noise.depends_on == ("D/N",)
    # The lowest fifth, 24 runs, is 6 times as wide as the others: a logarithm of 1.8, less what the prior takes of it.
    steps = [np.mean(wide.flat(f"step_D_per_N_{k}")) for k in (1, 2, 4, 5)]
    assert steps[0] - np.mean([0, *steps[1:]]) == pytest.approx(np.log(6), abs=0.5)
    assert uneven(wide) is None
    assert widen(jax.random.key(1), fit, steps=False) == (fit, ())
    asked = laplace(jax.random.key(0), Model(law, noise.log_normal.stepped("D/N"), effects=()), runs)
    np.testing.assert_array_equal(asked.flat("alpha"), wide.flat("alpha"))
    even = laplace(jax.random.key(0), Model(law, noise.log_normal, effects=()), table(3, 1.0))
    assert widen(jax.random.key(1), even) == (even, ())


def test_where_there_are_no_fifths_the_finding_stays():
    """Four sizes, of which the smallest is 8 times as noisy: the finding is said, and the fit is as it was."""
    N = np.repeat([1e8, 3e8, 1e9, 3e9], 15)
    scale = np.where(N.min() == N, 0.04, 0.005)
    loss = (1.8 + 400 * N**-0.34) * np.exp(scale * np.random.default_rng(0).normal(size=60))
    fit = laplace(
        jax.random.key(0),
        Model(models.load("power_floor").along("N"), noise.log_normal, effects=()),
        Runs.make({"N": N, "loss": loss}),
    )
    assert uneven(fit).along == "N"
    assert widen(jax.random.key(1), fit, shocks=False) == (fit, ())
    assert "NOISE_SCALE" in {one.code for one in findings(fit)}


def test_the_command_line_puts_steps_in_and_says_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    runs = table(3, 6.0)
    lines = [",".join(("params", "tokens", "loss"))]
    lines += [
        f"{n!r},{d!r},{loss!r}"
        for n, d, loss in np.stack([runs.columns["N"], runs.columns["D"], runs.response], axis=1).tolist()
    ]
    (tmp_path / "runs.csv").write_text("\n".join(lines))
    asked = ("fit", "runs.csv", "--law", "chinchilla", "--noise", "log_normal", "--method", "laplace")

    def ran(*more):
        done = CliRunner().invoke(main, [*asked, *more], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.output, load("fit.nc")

    said, fit = ran()
    assert "NOISE_SCALE" in said
    assert "from here on (--noise-steps none leaves it out; other verbs take it as --noise-steps D/N)" in said
    assert fit.model.noise.depends_on == ("D/N",)
    (_, typed), (_, python) = reproduce.fitting(fit)
    assert "--noise-steps D/N" in typed
    assert "noise.log_normal.stepped('D/N')" in python
    said, fit = ran("--noise-steps", "none", "--effect", "none")
    assert "Let the noise have a scale of its own" in said
    assert fit.model.noise.depends_on == ()
    done = CliRunner().invoke(main, [*asked, "--noise-steps", "none", "--noise-steps", "D/N"])
    assert done.exit_code == 2
    assert "--noise-steps is none, D/N; it is none, or what there are steps along" in done.output
    assert "--noise-steps none" in dict(reproduce.fitting(fit))["The fit, on the command line"]


def test_what_is_most_likely_has_steps_too():
    """No step can be traded for sigma: without priors their logarithm is that of the spreads of residuals."""
    runs = table(3, 6.0)
    model = Model(models.load("chinchilla"), noise.log_normal.stepped("D/N"), effects=())
    fit = optimize(jax.random.key(0), model, runs, priors=False)
    assert fit.converged
    ratio = np.asarray(runs.columns["D"]) / np.asarray(runs.columns["N"])
    fifth = np.searchsorted(np.quantile(ratio, [0.2, 0.4, 0.6, 0.8]), ratio)
    left = np.log(
        np.asarray(runs.response) / fit.predict({"N": runs.columns["N"], "D": runs.columns["D"]})[0]
    )
    scale = [np.sqrt(np.mean(left[fifth == k] ** 2)) for k in range(5)]
    assert fit.flat("sigma")[0] == pytest.approx(scale[2], rel=1e-4)
    for k in (0, 1, 3, 4):
        assert np.exp(fit.flat(f"step_D_per_N_{k + 1}")[0]) == pytest.approx(scale[k] / scale[2], rel=1e-4)


def test_checkpoints_say_nothing_of_it():
    runs = table(3, 6.0)
    few = np.arange(len(runs), dtype=np.int32) % 30
    runs = runs.replace(factors={"run": few}, levels={"run": tuple(f"run {i}" for i in range(30))})
    assert "NOISE_SCALE" not in said(runs)
