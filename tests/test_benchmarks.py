"""The benchmarks: importing one runs nothing, and what they wrote can be read as the README quotes it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent.parent / "benchmarks"
SCRIPT = FOLDER / "nuts.py"


@pytest.fixture(scope="module")
def results():
    return json.loads((FOLDER / "results" / "nuts.json").read_text(encoding="utf-8"))


def test_importing_runs_nothing():
    code = f"import sys; sys.path.insert(0, {str(FOLDER)!r}); import nuts; print('jax' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_without_the_points_it_says_how_to_get_them(tmp_path):
    environment = os.environ | {"BAYESCALE_DATA": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, SCRIPT], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "bayescale data fetch besiroglu2024_chinchilla" in done.stderr
    assert "Traceback" not in done.stderr


def test_results_say_what_they_were_measured_with(results):
    assert results["command"] == f"python benchmarks/nuts.py --rounds {results['rounds']}"
    assert results["rounds"] >= 3
    assert results["cores"] >= 1
    assert {"bayescale", "jax", "numpyro", "arviz", "pymc", "nutpie"} <= set(results["versions"])


def test_results_name_no_machine(results):
    text = json.dumps(results)
    assert "/tmp" not in text
    assert "/home" not in text
    assert str(Path.home()) not in text


def test_ratios_follow_from_the_medians(results, benchmark):
    module = benchmark("nuts")
    found = results["contenders"]
    assert set(found) == set(module.SAMPLERS)
    for name in ("numpyro", "pymc"):
        assert results["ratios"][name] == module.ratios(found["bayescale"], found[name])


def test_every_spread_holds_its_median(results):
    for contender in results["contenders"].values():
        spreads = [value for value in contender.values() if isinstance(value, list)]
        assert len(spreads) >= 9
        for middle, least, most in spreads:
            assert least <= middle <= most


def test_all_contenders_found_the_reference_posterior(results):
    # The reference posterior; the errors of the means are those of an effective sample size of 1000.
    for contender in results["contenders"].values():
        for name, mean, sd in (("alpha", 0.3452, 0.0091), ("beta", 0.3608, 0.0099)):
            found_mean, found_sd = contender["posterior"][name]
            assert found_mean == pytest.approx(mean, abs=0.002)
            assert found_sd == pytest.approx(sd, rel=0.15)


def test_the_goals_of_ratio_are_reached(results):
    assert results["ratios"]["numpyro"]["ess_per_gradient"] >= 40
    assert results["ratios"]["numpyro"]["ess_per_second"] >= 20


def test_least_ess_is_that_of_our_own_diagnostics(benchmark):
    pytest.importorskip("arviz")
    import numpy as np

    from bayescale.diagnostics import ess_bulk

    generator = np.random.default_rng(0)
    draws = {"alpha": generator.normal(size=(4, 200)), "beta": generator.normal(size=(4, 200)).cumsum(axis=1)}
    ess, r_hat = benchmark("nuts").least_ess(draws)
    assert ess == pytest.approx(ess_bulk(draws["beta"]), rel=0.02)
    assert r_hat > 1.01
