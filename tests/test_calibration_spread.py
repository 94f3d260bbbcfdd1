"""Calibrations that are spread over workers: the same records as here, whatever is asked and whose law it is."""

import functools
import importlib
import json
import sys
from concurrent.futures import ThreadPoolExecutor

import jax
import numpy as np
import pytest
from click.testing import CliRunner

from bayescale import models, noise, parallel, workers
from bayescale.check.calibration import calibrate
from bayescale.check.designs import columns_of
from bayescale.check.trial import Sent, Trial
from bayescale.cli import main
from bayescale.infer.parcel import place
from bayescale.infer.simulated import truth_of
from bayescale.model import Model
from bayescale.recipe import law_in
from bayescale.runs import Runs

KEY = jax.random.key(0)
POWER = Model(models.load("power").along("C"), noise.log_normal, effects=())
OWN_LAW = """
import jax.numpy as jnp
import numpyro.distributions as dist
from bayescale.law import Law

def mean(C, *, A, alpha):
    return A * C ** (-alpha)

priors = {"A": dist.LogNormal(0.0, 0.3), "alpha": dist.LogNormal(-2.5, 0.5)}
law = Law(name="own_power", mean=mean, priors=priors, source="a test")
"""


@pytest.fixture(scope="module")
def pool():
    with workers.of(2, None) as (executor, _):
        yield executor


@pytest.fixture(scope="module")
def design():
    columns = columns_of("isoflop", np.random.default_rng(0), ("C",))
    count = len(columns["N"])
    columns |= {"lab": [f"l{i % 5}" for i in range(count)], "loss": np.full(count, 2.0)}
    return Runs.make(columns, factors=["lab"])


def beyond(compute, fit):
    return fit.mean(fit.centre(), C=compute)


def assert_same(ours, theirs):
    assert ours.counts["refused"] == theirs.counts["refused"] == 0  # or there would be nothing to compare
    assert ours.quantities == theirs.quantities
    assert ours.logs == theirs.logs
    for field in ours.records.dtype.names:
        np.testing.assert_array_equal(ours.records[field], theirs.records[field], err_msg=field)


def test_workers_give_the_same_records(design, pool, tmp_path):
    asked = {"quantities": {"loss at 1e23": functools.partial(beyond, 1e23)}, "method": "laplace"}
    here = calibrate(KEY, POWER, design, replicates=40, folder=tmp_path / "here", **asked)
    reports = []
    there = calibrate(
        KEY,
        POWER,
        design,
        replicates=40,
        folder=tmp_path / "there",
        executor=pool,
        report=lambda *said: reports.append(said),
        **asked,
    )
    assert_same(here, there)
    assert reports == [(done, 3) for done in range(4)]
    # A study that was begun here goes on with workers, and is the same study.
    more = calibrate(
        KEY, POWER, design, replicates=60, folder=tmp_path / "here", resume=True, executor=pool, **asked
    )
    np.testing.assert_array_equal(more.records[:40], there.records)


def test_workers_sample_what_is_sampled_here(design, pool):
    sampler = {"chains": 2, "draws": 40, "warmup": 40}
    here = calibrate(KEY, POWER, design, replicates=3, **sampler)
    assert_same(here, calibrate(KEY, POWER, design, replicates=3, executor=pool, **sampler))


def test_workers_have_laws_of_files_and_truths_of_other_laws(design, pool, tmp_path):
    file = tmp_path / "own_power.py"
    file.write_text(OWN_LAW)
    own = Model(law_in(file), noise.log_normal, effects=())
    numbers = {"A": 50.0, "alpha": 0.07, "sigma": 0.02}
    truth = truth_of(POWER, design, numbers)
    asked = {"truth": truth, "method": "laplace", "quantities": {"ahead": functools.partial(beyond, 1e23)}}
    here = calibrate(KEY, own, design, replicates=16, **asked)
    assert here.quantities == ("ahead",)
    assert_same(here, calibrate(KEY, own, design, replicates=16, executor=pool, **asked))
    asked["truth"] = truth_of(own, design, {"A": 3.0, "alpha": 0.07, "sigma": 0.02})
    here = calibrate(KEY, own, design, replicates=16, **asked)
    assert here.quantities == ("A", "alpha", "ahead")
    assert_same(here, calibrate(KEY, own, design, replicates=16, executor=pool, **asked))


def test_what_workers_cannot_have_is_refused(design, pool):
    asked = {"ahead": lambda fit: beyond(1e23, fit)}
    with pytest.raises(ValueError, match=r"workers cannot have the quantity 'ahead'.* define it in one"):
        calibrate(KEY, POWER, design, replicates=1, method="laplace", quantities=asked, executor=pool)
    with pytest.raises(ValueError, match="lanes are one program on one device"):
        calibrate(KEY, POWER, design, replicates=1, method="lanes", executor=pool)
    other = jax.random.key(0, impl="rbg")
    with pytest.raises(ValueError, match=r"workers take random keys of jax\.random\.key\(seed\)"):
        calibrate(other, POWER, design, replicates=1, method="laplace", executor=pool)
    sent = Sent(Trial(KEY, POWER, design, None, "laplace", {}, {}), {**place(), "platform": "tpu"})
    with pytest.raises(ValueError, match=r"this worker has .*; take workers alike"):
        sent((0,))


def test_a_function_that_a_worker_lacks_is_named(design, tmp_path, monkeypatch):
    (tmp_path / "only_here.py").write_text("def ahead(fit):\n    return fit.mean(fit.centre(), C=1e23)\n")
    with monkeypatch.context() as here:
        here.syspath_prepend(tmp_path)
        asked = {"ahead": importlib.import_module("only_here").ahead}
        sent = Sent(Trial(KEY, POWER, design, None, "laplace", {}, asked), place())
    monkeypatch.delitem(sys.modules, "only_here")  # as in a process that was never told where it is
    with pytest.raises(
        ValueError, match=r"a worker does not have a function that is asked of fits: .*only_here"
    ):
        sent((0,))


def test_threads_of_a_worker_take_turns(design):
    """NumPyro would trace in all of them at once."""
    sampler = {"chains": 1, "draws": 25, "warmup": 25}
    with ThreadPoolExecutor(3) as threads:
        there = calibrate(KEY, POWER, design, replicates=48, executor=threads, **sampler)
    assert_same(calibrate(KEY, POWER, design, replicates=48, **sampler), there)


@pytest.mark.parametrize(("said", "cores"), [("", 8), ("0", 8), ("-1", 8), ("a few", 8), ("3", 3), ("99", 8)])
def test_cores_may_be_fewer_than_the_machine_has(said, cores, monkeypatch):
    monkeypatch.setattr(parallel.os, "sched_getaffinity", lambda process: range(8), raising=False)
    monkeypatch.setenv("NPROC", said)
    assert parallel.cores() == cores


def test_the_verb_shares_its_work():
    """Predictions, a split of a budget and what a loss costs are asked of workers too."""
    typed = ["calibrate", "--law", "chinchilla", "--noise", "log_normal", "--replicates", "16", "--json"]
    typed += ["--method", "laplace", "--budget", "1e23", "--target", "2.1", "--at", "N=7e10,D=1.4e12"]
    here, there = (CliRunner().invoke(main, [*typed, *more]) for more in ([], ["--workers", "1"]))
    assert (here.exit_code, there.exit_code) == (0, 0), there.output
    assert json.loads(here.stdout) == json.loads(there.stdout)
    named = {row["quantity"] for row in json.loads(there.stdout)["quantities"]}
    assert {
        "N at 1e23 FLOP",
        "D at 1e23 FLOP",
        "D/N at 1e23 FLOP",
        "C for loss 2.1",
        "loss at N=7e10,D=1.4e12",
    } <= named
