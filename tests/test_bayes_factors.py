"""Posterior probabilities of laws are what they say, and the wrong law gains nothing on average.

The parameters of every table are drawn from the priors of its law, so that what is tested holds exactly.
"""

import numpy as np
import pytest

ALARM = 1e-3  # how often the test of reliability would fail where nothing is wrong
BEYOND = 4.0  # errors; of 8 numbers one is further off by chance in one of 2,000 studies


@pytest.fixture(scope="module")
def module(benchmark):
    return benchmark("bayes_factors")


def held(found, module):
    """What is asked of a study, whether it was made now or before."""
    assert found["reliability"]["p_value"] > ALARM
    assert found["reliability_with_those_in_doubt"]["p_value"] > ALARM
    narrow, wide = (found[f"{law}_wrong"] for law in module.LAWS)
    # The narrower law gains at most the ratio of the priors, so that the mean of its Bayes factors has an error.
    assert abs(narrow["mean"] - 1) < BEYOND * narrow["error"]
    for one in (narrow, wide):
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


def test_the_mean_bayes_factor_of_the_wrong_law_is_one(module):
    """Here both are bounded in effect; errors that are right give z scores whose mean is 0 and whose sd is 1."""
    plain, bounded = [], []
    for seed in range(100):
        lead, right = drawn(np.random.default_rng(seed), count=500)
        found = module.balance(lead[right == 0], lead[right == 1])
        plain.append((found["mean"] - 1) / found["error"])
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
