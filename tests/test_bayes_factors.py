"""Posterior probabilities of laws are what they say, and the wrong law gains nothing on average.

The parameters of every table are drawn from the priors of its law, so that what is tested holds exactly.
"""

import numpy as np
import pytest

ALARM = 1e-3  # how often the test of reliability would fail where nothing is wrong
BEYOND = 4.0  # errors; of 6 numbers one is further off by chance in one of 2,600 studies
WITHIN = 3.0  # errors of the expected Bayes factor, further off by chance in one of 370 studies


@pytest.fixture(scope="module")
def module(benchmark):
    return benchmark("bayes_factors")


def held(found, module):
    """What is asked of a study, whether it was made now or before."""
    assert found["reliability"]["p_value"] > ALARM
    assert found["reliability_with_those_in_doubt"]["p_value"] > ALARM
    for law in module.LAWS:
        one = found[f"{law}_wrong"]
        assert abs(one["mean"] - 1) < WITHIN * one["error"]
        for _, mean, share, error in one["bounded"]:
            assert abs(mean - share) < BEYOND * error
    assert len(found["in_doubt"]) <= 0.05 * found["tables"]


@pytest.mark.slow
def test_bayes_factors_of_200_tables_are_consistent(module):
    found = module.digest(module.study(200))
    print(found)
    assert found["tables"] == 200
    held(found, module)


# ---- The statistics, on numbers whose answer is known


def drawn(rng, sharper=1.0, count=100):
    """Log Bayes factors of two normal means 1 apart from one number, half of each; sharper than they ought to be."""
    right = np.arange(2 * count) % 2
    return sharper * (rng.normal(right, 1.0) - 0.5), right


def test_reliability_finds_probabilities_that_are_too_sure(module):
    """The p-value is uniform where they are right: of 40, at most 3 are under .01 in all but one of 1,600 times."""
    right = [module.reliability(*drawn(np.random.default_rng(seed)))["p_value"] for seed in range(40)]
    sure = [module.reliability(*drawn(np.random.default_rng(seed), 3.0))["p_value"] for seed in range(40)]
    assert sum(p < 0.01 for p in right) <= 3
    assert sum(p < 0.01 for p in sure) >= 36


def of_widths(rng, width, count):
    """Log Bayes factors of N(0, width^2) against N(0, 1), and of which of them each number is, half of each."""
    right = np.arange(2 * count) % 2
    x = rng.normal(size=2 * count) * np.where(right, width, 1.0)
    return x**2 / 2 * (1 - width**-2) - np.log(width), right


def z_scores(module, draw, count=100, studies=200, bias=0.0):
    """How many errors the expected Bayes factor of the second law is from 1, (studies,)."""
    found = []
    for seed in range(studies):
        lead, right = draw(np.random.default_rng(seed), count=count)
        one = module.expected(lead[right == 0] + bias, lead[right == 1] + bias)
        found.append((one["mean"] - 1) / one["error"])
    return np.array(found)


@pytest.mark.parametrize("width", [0.2, 1.0, 5.0])
def test_the_expected_bayes_factor_of_the_wrong_law_is_one(module, width):
    """Two means 1 apart, and a law far narrower or wider: z scores have mean 0 and sd 1 to 4 errors (1 in 4,000)."""
    scores = z_scores(module, drawn if width == 1.0 else lambda rng, count: of_widths(rng, width, count))
    assert abs(scores.mean()) < 4 / np.sqrt(200)
    assert abs(scores.std() - 1) < 4 / np.sqrt(400)


def test_a_plain_mean_would_not_do(module):
    """What the wider law gains it gains on rare numbers of the right one: its plain mean is too low, and sure of it."""
    found = []
    for seed in range(100):
        lead, right = of_widths(np.random.default_rng(seed), 5.0, 100)
        found.append(module.balance(lead[right == 0], lead[right == 1]))
    off = [(one["plain_mean"] - 1) / one["plain_error"] for one in found]
    assert np.median(off) < -5


@pytest.mark.parametrize("bias", [-0.3, 0.3])
def test_evidences_of_one_law_that_are_biased_are_found(module, bias):
    """Of 1,000 tables every study finds .3 nat; of 200, as many as are simulated, more than 3 of 4."""
    many = z_scores(module, drawn, count=500, studies=40, bias=bias)
    few = z_scores(module, drawn, bias=bias)
    assert (np.sign(bias) * many).min() > WITHIN
    assert np.mean(np.sign(bias) * few > WITHIN) > 0.75


def test_both_laws_say_the_same(module):
    """The two numbers sum to 2, with one error."""
    lead, right = drawn(np.random.default_rng(0))
    second = module.expected(lead[right == 0], lead[right == 1])
    first = module.expected(-lead[right == 1], -lead[right == 0])
    assert first["mean"] + second["mean"] == pytest.approx(2, abs=1e-3)
    assert first["error"] == second["error"]


def test_the_mean_bayes_factor_up_to_a_bound(module):
    """Here all are bounded in effect; errors that are right give z scores whose mean is 0 and whose sd is 1."""
    plain, bounded = [], []
    for seed in range(100):
        lead, right = drawn(np.random.default_rng(seed), count=500)
        found = module.balance(lead[right == 0], lead[right == 1])
        plain.append((found["plain_mean"] - 1) / found["plain_error"])
        bounded.append([(mean - share) / error for _, mean, share, error in found["bounded"]])
    assert abs(np.mean(plain)) < 0.5  # the error is underestimated where large factors are missing
    assert np.abs(np.mean(bounded, axis=0)).max() < 0.4
    assert np.std(bounded, axis=0).min() > 0.7
    assert np.std(bounded, axis=0).max() < 1.3


def test_tables_in_doubt_are_counted_and_kept_out_of_the_balance(module):
    lead, right = drawn(np.random.default_rng(0), count=50)
    tables = [{"lead": x, "right": r, "trouble": []} for x, r in zip(lead, right, strict=True)]
    tables[3] |= {"trouble": ["chinchilla: 3 divergent draws of 2000"], "lead": 50.0}
    found = module.digest(tables)
    assert found["in_doubt"] == {"3": ["chinchilla: 3 divergent draws of 2000"]}
    assert found["chinchilla_tied_wrong"]["greatest"] < 100
