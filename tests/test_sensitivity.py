"""Sensitivity tables against those of the Chinchilla points."""

import jax
import numpy as np
import pytest

import bayescale as bs
from bayescale import models, noise
from bayescale.check.sensitivity import sensitivity
from bayescale.model import Model
from bayescale.runs import Runs

MODEL = Model(models.load("chinchilla"), noise.huber(), effects=())
# Drop the k highest losses: beta, a, tokens for each parameter at 5.76e23.
DROPPED = {
    0: (0.4530, 0.5646, 6.82),
    1: (0.4122, 0.5441, 10.06),
    2: (0.4031, 0.5380, 11.35),
    3: (0.3825, 0.5241, 14.69),
    4: (0.3708, 0.5164, 17.06),
    5: (0.3672, 0.5139, 17.92),
    6: (0.3622, 0.5117, 18.74),
    7: (0.3622, 0.5117, 18.74),
    10: (0.3582, 0.5086, 19.93),
}


def exponent(fit):
    own = fit.centre()
    return own["beta"] / (own["alpha"] + own["beta"])


def ratio(fit):
    N, D = bs.split(fit, 5.76e23)
    return D / N


ASKED = {"beta": "beta", "a": exponent, "D/N": ratio}


@pytest.fixture(scope="module")
def all_points(shared_data):
    return Runs.read(shared_data / "loss_besiroglu2024_chinchilla.csv")


def test_dropping_the_highest_losses(all_points):
    first, *rows = sensitivity(jax.random.key(0), MODEL, all_points, quantities=ASKED, drop=DROPPED)
    assert (first.changed, first.dropped) == ("", 0)
    for (k, expected), row in zip(DROPPED.items(), rows, strict=True):
        assert (row.changed, row.to) == ("drop", str(k))
        assert row.converged
        # Losses 6 and 7 tie: both go, or neither.
        assert row.dropped == {6: 7}.get(k, k)
        for value, (estimate, low, high) in zip(expected, row.answers.values(), strict=True):
            assert estimate == pytest.approx(value, rel=1e-3)
            assert low < high
    assert rows[6].answers == rows[7].answers


def test_delta_noise_law_and_support(all_points):
    points = all_points.subset(np.asarray(all_points.columns["in_fit_subset"]) == 1)
    rows = sensitivity(
        jax.random.key(0),
        MODEL,
        points,
        quantities={"beta": "beta", "A": "A", "2 beta": lambda fit: 2 * fit.centre()["beta"]},
        delta=[1e-2],
        noise=[noise.log_normal],
        law=[models.load("chinchilla_tied")],
        support={"D/N": [0.1]},
    )
    named = {(row.changed, row.to): row for row in rows}
    assert list(named) == [
        ("", ""),
        ("delta", "0.01"),
        ("noise", "log_normal"),
        ("law", "chinchilla_tied"),
        ("support D/N", "0.1"),
    ]
    assert named["delta", "0.01"].answers["A"][0] == pytest.approx(539, rel=2e-3)
    assert named["noise", "log_normal"].answers["A"][0] == pytest.approx(593, rel=2e-3)
    assert set(named["law", "chinchilla_tied"].answers) == {"A"}  # it has no beta
    assert named["support D/N", "0.1"].dropped == 48


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"drop": [245]}, "drop is 245; it is from 0 to 244, one less than there are runs"),
        ({"drop": [242]}, "drop 242: 2 runs are left, and chinchilla has 5 parameters"),
        (
            {"support": {"D/N/C": [0.1]}},
            "support is 'D/N/C' by 0.1; it is a covariate or a ratio, and a share",
        ),
        ({"support": {"U": [0.1]}}, "there is no column U to cut by; there are N"),
    ],
)
def test_what_cannot_be_changed(all_points, given, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        sensitivity(jax.random.key(0), MODEL, all_points, quantities={"beta": "beta"}, **given)


def test_noise_without_a_delta(all_points):
    model = MODEL.replace(noise=noise.log_normal)
    with pytest.raises(ValueError, match=r"^log_normal noise has no delta; take huber$"):
        sensitivity(jax.random.key(0), model, all_points, quantities={"beta": "beta"}, delta=[1e-2])
