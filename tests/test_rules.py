"""Rules of thumb: against the table they come from, a fit, and what they leave out."""

import numpy as np
import pytest

from bayescale.decide.allocate import compute_optimal
from bayescale.decide.efficiency import efficiency
from bayescale.decide.rules import power_rule, rule_of_thumb
from tests.made import BESIROGLU, fit_of, some

COMPUTE = 5.76e23

# Hoffmann et al. 2022, table 3: parameters, FLOP and tokens of the optimum by their approach 1.
TABLE_3 = [
    (400e6, 1.92e19, 8.0e9),
    (1e9, 1.21e20, 20.2e9),
    (10e9, 1.23e22, 205.1e9),
    (67e9, 5.76e23, 1.5e12),
    (175e9, 3.85e24, 3.7e12),
    (280e9, 9.90e24, 5.9e12),
    (520e9, 3.43e25, 11.0e12),
    (1e12, 1.27e26, 21.2e12),
    (10e12, 1.30e28, 216.2e12),
]


@pytest.mark.parametrize(("N", "C", "D"), TABLE_3)
def test_twenty_tokens_for_each_parameter_is_table_3(N, C, D):
    found = rule_of_thumb(C)
    # A row between 19.9 and 22.4 tokens for each parameter: the root of 22.4 / 20 is 1.06.
    assert found["N"][0] == pytest.approx(N, rel=0.06)
    assert found["D"][0] == pytest.approx(D, rel=0.09)  # and tokens of 67B and more have two digits


@pytest.mark.parametrize(("N", "D"), [(1e9, 20e9), (7e9, 140e9), (70e9, 1.4e12), (175e9, 3.5e12)])
def test_the_rule_is_exact_for_its_own_table(N, D):
    found = rule_of_thumb(6 * N * D, 20)
    assert (found["N"][0], found["D"][0], found["D/N"][0]) == pytest.approx((N, D, 20))
    assert found.regret is None


def test_a_rule_is_judged_by_a_fit():
    fit = fit_of("chinchilla", some(BESIROGLU, sd=0.02))
    found = rule_of_thumb(COMPUTE, fit=fit)
    by_size = efficiency(fit, N=found.choice["N"], D=found.choice["D"])
    np.testing.assert_array_equal(found.regret, by_size["deadweight loss"])
    assert found.regret.mean() > compute_optimal(fit, COMPUTE).regret.mean()
    assert found.asked == {"C": COMPUTE, "D/N": 20.0}
    assert set(found["N"]) == {found.choice["N"]}


def test_a_power_law_to_zero():
    """Eight times the parameters at .076 are a loss of 2.988 after 3.5, not 3.2; a tenth at .05 takes 1e20 times."""
    assert power_rule(3.5, 0.076, times=8)["loss"][0] == pytest.approx(2.988, abs=5e-4)
    assert power_rule(3.0, 0.05, target=0.3)["times"][0] == pytest.approx(1e20, rel=1e-9)
    assert power_rule(3.0, 0.05, target=2.7)["times"][0] == pytest.approx(8.23, abs=0.005)
    # Ten times the compute: a third of a nat at a loss of 3, and not one.
    assert power_rule(3.0, 0.05, times=10)["loss"][0] == pytest.approx(3 - 0.33, abs=0.005)
    assert [f.code for f in power_rule(3.5, 0.076, times=8).findings] == ["NO_FLOOR"]


def test_what_is_refused():
    with pytest.raises(ValueError, match="ratio is -20; it is a positive number"):
        rule_of_thumb(1e22, -20)
    with pytest.raises(ValueError, match="levels and covariates are of a fit; give fit="):
        rule_of_thumb(1e22, corpus="x")
    with pytest.raises(ValueError, match="give times, how much more of the resource there is, or target"):
        power_rule(3.5, 0.076)
    with pytest.raises(ValueError, match=r"target is 0\.0; it is a positive number"):
        power_rule(3.5, 0.076, target=0.0)
