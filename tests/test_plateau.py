"""Whether scores have stopped to rise: told where they have, and seldom where they have not."""

import numpy as np
import pytest
from scipy.special import expit

from bayescale.tasks import plateau as module
from bayescale.tasks.plateau import Plateau, plateau

TRIES = 5000


def suite(curve, seed, models=40, early=0.0):
    """Models on four decades whose logits scatter by 0.15 about a curve, some of which stopped early."""
    rng = np.random.default_rng(seed)
    x = np.sort(rng.uniform(18, 22, models))
    logits = curve(x) + 0.15 * rng.standard_normal(models) - early * (rng.random(models) < 0.3)
    return 10**x, rng.binomial(TRIES, expit(logits)), TRIES


def risen(x):
    return -2 + 1.2 * np.minimum(x - 20.7, 0)


def rising(x):
    return -2 + 0.8 * (x - 20.7)


def never(x):
    return np.full_like(x, -2.0)


def test_the_line_leaves_a_quarter_above():
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 1, 41)
    y = 2 * x + rng.standard_normal(41)
    slope = module._slope(x, y, np.arange(41))
    left = y - slope * x
    assert np.isclose(left[:, None], left).sum() == 41 + 2  # it goes through two of them
    assert (left > np.quantile(left, 0.75) + 1e-9).mean() == pytest.approx(0.25, abs=0.05)


def test_a_plateau_is_flagged_and_others_are_not(monkeypatch):
    """Rises of 0.8 a decade are taken for none in hardly any; eight suites of each kind."""
    monkeypatch.setattr(module, "RESAMPLES", 60)
    flagged = {
        of.__name__: sum(plateau(*suite(of, seed)).flagged for seed in range(8))
        for of in (risen, rising, never)
    }
    assert flagged["risen"] >= 6
    assert flagged["rising"] == 0
    assert flagged["never"] <= 1  # which takes a rise before to be told by chance, one in twenty at most


def test_early_checkpoints_do_not_hide_it(monkeypatch):
    monkeypatch.setattr(module, "RESAMPLES", 60)
    assert plateau(*suite(risen, 1, models=60, early=1.5)).flagged


def test_what_is_said():
    assert str(Plateau((-0.1, 0.1, 0.3), (1.5, 1.7, 1.9), (1.3, 1.6, 1.9))) == (
        "plateau: scores have stopped to rise; in the last decade by 0.1 (-0.1 to 0.3) logits, before by 1.7 "
        "(1.5 to 1.9) a decade"
    )
    assert str(Plateau((0.1, 0.2, 0.3), (0.1, 0.2, 0.3), (-0.1, 0, 0.1))).startswith("no plateau is told")


def test_too_few_models_tell_nothing():
    C, won, tried = suite(risen, 0, models=10)
    assert plateau(C, won, tried) is None
    assert plateau(np.r_[np.full(10, 1e18), np.geomspace(5e20, 1e21, 10)], np.full(20, 5), 10) is None
