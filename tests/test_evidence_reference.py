"""Seven laws on the 240 Chinchilla points: four unlike estimators, and one order of the laws."""

from functools import cache
from itertools import combinations

import numpy as np
import pytest
from laws import LAWS

pytestmark = pytest.mark.slow

ERRORS = 3  # of an estimate: false-alarm rate .003 for each


@pytest.fixture(scope="module")
def measured(shared_data, benchmark):
    """What our estimators say of a law, each law once."""
    laws = benchmark("laws")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BAYESCALE_DATA", str(shared_data))
        yield cache(lambda name: laws.measure(name, third=True))


@pytest.mark.parametrize("name", LAWS)
def test_three_estimators_agree(measured, name):
    found = measured(name)
    print(name, found, found.bridge, found.importance, found.tempered)
    assert found.trouble == ()
    assert abs(found.bridge.value - found.importance.value) < 0.05
    assert found.tempered.value == pytest.approx(found.value, abs=ERRORS * found.tempered.error)


def test_nested_sampling_gives_the_same_order(measured, benchmark):
    """Where two laws are nearer to each other than its error, nested sampling may not tell them apart."""
    pytest.importorskip("dynesty")
    laws, peers = benchmark("laws"), benchmark("evidence_peers")
    nested = {}
    for name in LAWS:
        found = measured(name)
        nested[name] = peers.dynesty(0, laws.model(name), found.fit.runs)
        print(name, found, nested[name])
        assert nested[name].value == pytest.approx(found.value, abs=ERRORS * nested[name].error), name
    for one, other in combinations(sorted(LAWS, key=lambda name: -measured(name).value), 2):
        error = np.hypot(nested[one].error, nested[other].error)
        assert nested[one].value - nested[other].value > -ERRORS * error, (one, other)
