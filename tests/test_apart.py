"""Whether fits of the same runs answer one question apart: by closed forms of the split and of what a choice wastes."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from bayescale import models
from bayescale.check.published import published
from bayescale.cli import main
from bayescale.decide.allocate import compute_optimal
from bayescale.decide.apart import Asked, apart
from bayescale.decide.better import left_out
from bayescale.decide.inference import inference_optimal
from bayescale.decide.invert import compute_for, data_for
from bayescale.decide.surface import surface
from bayescale.storage import save
from tests.made import BESIROGLU, RUNS, closed_form, fit_of, some

C = 1e23


def made(sd=0.002, runs=RUNS, **changes):
    return fit_of("chinchilla", some(BESIROGLU | changes, sd=sd), runs=runs)


def asked(fits, ask):
    return {name: Asked(surface(fit), ask(fit)) for name, fit in fits.items()}


def split(fit):
    return compute_optimal(fit, C)


def wasted_by_hand(fit, N, D):
    """1 - C_eq / C, of the law by its closed form, averaged over the draws."""
    A, B, alpha, beta = (fit.parameters()[p] for p in ("A", "B", "alpha", "beta"))
    gamma = alpha * beta / (alpha + beta)
    K = closed_form(6.0, A=A, B=B, alpha=alpha, beta=beta)[2]  # the least loss above the floor at C / 6 = 1
    above = A * N**-alpha + B * D**-beta
    return np.mean(1 - 6 * (K / above) ** (1 / gamma) / C)


SAME = {"a": 0.0, "b": 0.0, "c": 0.0}


def test_answers_whose_intervals_do_not_overlap_and_what_acting_on_the_wrong_one_costs():
    fits = {"a": made(), "b": made(alpha=0.30)}
    found = asked(fits, split)
    (one,) = apart(found, elpd=SAME)
    assert (one.code, one.severity) == ("MODELSENS", "severe")
    middles = [one.answer.interval("N")[1] for one in found.values()]
    assert one.number == pytest.approx(abs(np.log10(middles[0] / middles[1])))
    wastes = {}
    for chooser, judge in (("a", "b"), ("b", "a")):
        choice = found[chooser].answer.choice
        wastes[judge] = wasted_by_hand(fits[judge], choice["N"], choice["D"])
    judge = max(wastes, key=lambda name: wastes[name])
    chooser = "ab".replace(judge, "")
    assert wastes[judge] > 0.1
    assert (
        f"by {judge} the choice of {chooser} wastes {wastes[judge]:.1%} of the compute, and its own 0."
        in one.message
    )
    assert "intervals that do not overlap" in one.message


def test_intervals_apart_whose_choices_cost_nothing_are_a_warning():
    (one,) = apart(asked({"a": made(sd=1e-4), "b": made(sd=1e-4, alpha=0.345)}, split), elpd=SAME)
    assert one.severity == "warning"
    assert "the choice of" not in one.message


def test_answers_that_agree_are_not_apart():
    assert apart(asked({"a": made(0.01), "b": made(0.01, alpha=0.345)}, split), elpd=SAME) == ()
    assert apart(asked({"a": made()}, split)) == ()


def test_a_fit_far_behind_is_a_note_and_hides_no_rival():
    found = asked({"a": made(), "b": made(), "c": made(alpha=0.30)}, split)
    (note,) = apart(found, elpd={"a": 100.0, "b": 99.0, "c": 88.0})
    assert note.severity == "note"
    assert note.message.endswith("; but c is 12 nats behind by leave-one-out")
    (one,) = apart(found, elpd={"a": 100.0, "b": 70.0, "c": 97.0})
    assert one.severity == "severe"
    assert "b says" not in one.message
    (unknown,) = apart(found, elpd=dict.fromkeys("abc", np.nan))
    assert unknown.severity == "severe"
    known = left_out({name: one.surface for name, one in found.items()})
    assert apart(found) == apart(found, elpd=known)


def test_only_fits_with_draws_of_the_same_runs_are_beside_each_other():
    other = made(runs=RUNS.subset(np.arange(12) < 11), alpha=0.30)
    point = published(models.load("chinchilla"), BESIROGLU | {"alpha": 0.30}, runs=RUNS)
    assert apart(asked({"a": made(), "b": other, "c": point}, split), elpd=SAME) == ()


def test_fits_of_the_same_runs_are_beside_each_other_whatever_factors_their_tables_have():
    grouped = RUNS.replace(factors={"lab": np.arange(len(RUNS)) % 2}, levels={"lab": ("a", "b")})
    assert grouped.hash != RUNS.hash
    (found,) = apart(asked({"a": made(), "b": made(runs=grouped, alpha=0.30)}, split), elpd=SAME)
    assert found.code == "MODELSENS"


def test_targets():
    """A run that the one would do misses in nearly all draws of the other, where its intervals overlap."""
    fits = {"a": made(0.003), "b": made(0.003, E=1.8172 * 1.006)}
    found = asked(fits, lambda fit: compute_for(fit, 1.95))
    ends = {name: one.answer.interval("C") for name, one in found.items()}
    assert ends["a"][2] > ends["b"][0]
    (one,) = apart(found, elpd=SAME)
    assert one.severity == "severe"
    assert "do not overlap" not in one.message
    A, B, E, alpha, beta = (fits["b"].parameters()[p] for p in ("A", "B", "E", "alpha", "beta"))
    run = found["a"].answer.choice
    reached = E + A * run["N"] ** -alpha + B * run["D"] ** -beta <= 1.95
    waste = np.where(reached, 1 - found["b"].answer["C"] / run["C"], 1.0).mean()
    own = found["b"].answer.regret.mean()
    assert one.number == pytest.approx(waste - own)
    assert f"by b the choice of a wastes {waste:.1%} of the compute, and its own {own:.1%}" in one.message
    tokens = asked(fits, lambda fit: data_for(fit, 1.97, at={"N": 7e10}))
    (of_tokens,) = apart(tokens, elpd=SAME)
    run, needed = tokens["a"].answer.choice["D"], tokens["b"].answer["D"]
    waste = np.where(needed <= run, 1 - needed / run, 1.0).mean()
    assert f"by b the choice of a wastes {waste:.1%} of the compute" in of_tokens.message
    served = asked(fits, lambda fit: inference_optimal(fit, 1e12, loss=1.95))
    assert apart(served, elpd=SAME) == ()  # of these the intervals alone are looked at


def test_on_the_command_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save(made(), tmp_path / "a.nc")
    save(made(alpha=0.30), tmp_path / "b.nc")

    def run(*arguments):
        result = CliRunner().invoke(main, arguments, catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.output

    for verb, *option in (("allocate", "--compute", "1e23"), ("target", "--loss", "2.4")):
        assert "MODELSENS: of the same runs " in run(verb, "a.nc", "b.nc", *option)
        (one,) = json.loads(run(verb, "a.nc", "b.nc", *option, "--json"))["findings"]
        assert one["code"] == "MODELSENS"
        assert json.loads(run(verb, "a.nc", *option, "--json"))["findings"] == []
