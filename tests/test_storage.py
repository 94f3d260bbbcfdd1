"""Storage: a fit comes back as it was, opens in ArviZ, and is written whole or not at all."""

import json
import os
import stat
import subprocess
import sys
from typing import Any

import jax
import numpy as np
import numpyro.distributions as dist
import pytest

from bayescale import models, noise, recipe, storage
from bayescale.fit import Fit
from bayescale.law import Law
from bayescale.model import Model
from bayescale.pooling import Pooling
from tests.stored import by_hand, table
from tests.stored import fit as fit
from tests.stored import path as path

h5py: Any = pytest.importorskip("h5py")


def test_steps_of_the_noise_are_kept_where_they_were(tmp_path):
    model = Model(models.load("power_floor").along("N"), noise.log_normal.stepped("N"), effects=())
    first = by_hand(model.specialise(table()), table())
    storage.save(first, tmp_path / "steps.nc")
    noise_read = storage.load(tmp_path / "steps.nc").model.noise
    assert noise_read.stepped_by == first.model.noise.stepped_by
    assert len(noise_read.stepped_by["N"]) == 4


def exactly(prior):
    return recipe.prior_as_data(prior, "p")


def assert_same(found, fit):
    assert (found.method, list(found.draws)) == (fit.method, list(fit.draws))
    for name, values in fit.draws.items():
        assert found.draws[name].dtype == values.dtype
        assert found.draws[name].tobytes() == values.tobytes()
    assert set(found.stats) == set(fit.stats)
    for name, value in fit.stats.items():
        np.testing.assert_array_equal(found.stats[name], value)
        assert np.asarray(found.stats[name]).dtype == np.asarray(value).dtype
    runs, old = found.runs, fit.runs
    assert runs.hash == old.hash
    assert (runs.levels, runs.kind, runs.source, runs.notes) == (old.levels, old.kind, old.source, old.notes)
    np.testing.assert_equal(runs.reference, old.reference)
    assert runs.unit == old.unit
    assert recipe.as_data(found.model) == recipe.as_data(fit.model)


def test_comes_back_as_it_was(fit, path):
    found = storage.load(path)
    assert_same(found, fit)
    assert found.summary() == fit.summary()
    assert str(found.summary()) == str(fit.summary())
    points = {"N": [1e9], "D": [1e10], "gpus": [8]}
    wanted, got = (f.predict(points, corpus="b", chain="q") for f in (fit, found))
    np.testing.assert_array_equal(got, wanted)


def test_a_law_along_a_column(tmp_path):
    fit = by_hand(Model(models.load("power_floor").along("D"), noise.student_t, effects=None), table())
    storage.save(fit, tmp_path / "a.nc")
    found = storage.load(tmp_path / "a.nc")
    assert_same(found, fit)
    assert found.model.law.covariates == ("D",)
    assert found.model.effects is None


@pytest.mark.parametrize("name", models.names())
def test_every_law_can_be_saved(name):
    law = models.load(name)
    for p, prior in law.priors.items():
        again = recipe.as_prior(json.loads(json.dumps(recipe.prior_as_data(prior, p))))
        assert exactly(again) == exactly(prior)
        inside = prior.sample(jax.random.key(0), (5,))
        np.testing.assert_array_equal(again.log_prob(inside), prior.log_prob(inside))
        assert str(again.support) == str(prior.support)


@pytest.mark.parametrize("name", sorted(recipe.PRIORS))
def test_every_prior_comes_back(name):
    made = recipe.PRIORS[name]
    prior = made(**{n: 0.75 + i for i, n in enumerate(made.arg_constraints)})
    again = recipe.as_prior(recipe.prior_as_data(prior, "p"))
    assert type(again) is made
    assert exactly(again) == exactly(prior)
    assert again.log_prob(0.8) == prior.log_prob(0.8)


def test_other_methods(tmp_path):
    model = Model(models.load("power").along("N"), noise.log_normal, effects=())
    whole = by_hand(model, table())
    stats = {"at_bound": ["A"], "mode_converged": True, "pareto_k": -np.inf, "log_density": np.float64(3.25)}
    fit = Fit(model, whole.runs, {n: v[:1, :1] for n, v in whole.draws.items()}, "map", stats)
    storage.save(fit, tmp_path / "a.nc")
    assert_same(storage.load(tmp_path / "a.nc"), fit)


def test_opens_in_arviz(fit, path):
    az = pytest.importorskip("arviz")
    tree = az.from_netcdf(path)
    try:
        assert set(tree.children) == {"posterior", "sample_stats", "observed_data", "constant_data"}
        posterior = tree["posterior"]
        assert posterior["E_by_corpus"].dims == ("chain", "draw", "corpus")
        assert posterior["corpus"].values.tolist() == ["a", "é", "b"]
        np.testing.assert_array_equal(posterior["E"].values, fit.draws["E"])
        assert tree["sample_stats"]["diverging"].dtype == bool
        assert {"energy", "n_steps", "acceptance_rate"} <= set(tree["sample_stats"].data_vars)
        assert tree["observed_data"]["loss"].dims == ("run",)
        summary = az.summary(tree, var_names=["E", "A_by_corpus"])
        assert len(summary) == 4
        storage.save(fit, path)  # over a file that is still open
        assert_same(storage.load(path), fit)
    finally:
        tree.close()


def test_every_number_has_a_checksum(path):
    with h5py.File(path) as file:
        seen = []
        file.visititems(lambda name, o: seen.append(o) if isinstance(o, h5py.Dataset) else None)
        assert len(seen) > 20
        assert all(d.fletcher32 for d in seen if d.dtype.kind != "O")
        assert {n for n in file.attrs if not n.startswith("_")} == {"bayescale"}

        def refuse(_):
            raise AssertionError

        json.loads(file.attrs["bayescale"], parse_constant=refuse)


def test_over_itself(fit, path):
    found = storage.load(path)
    storage.save(found, path)
    assert_same(storage.load(path), fit)
    assert os.listdir(path.parent) == ["fit.nc"]
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask


def test_many_levels_with_strange_names(tmp_path):
    names = [f"{i} \ud800 'x' é" for i in range(3000)]
    runs = table()
    runs = runs.replace(levels={**runs.levels, "corpus": tuple(names)})
    fit = by_hand(
        Model(models.load("power").along("N"), noise.log_normal, (Pooling(("A",), "corpus"),), ()), runs
    )
    storage.save(fit, tmp_path / "a.nc")
    assert_same(storage.load(tmp_path / "a.nc"), fit)


# ---- Laws of the user


def own_law(name="mine"):
    def mean(N, *, A, alpha):
        return A * N**-alpha

    return Law(name, mean, {"A": dist.LogNormal(0.0, 1.0), "alpha": dist.Normal(0.3, 0.1)}, "nowhere")


@pytest.mark.parametrize("name", ["mine", "chinchilla"])
def test_law_of_the_user(tmp_path, name):
    law = own_law(name)
    fit = by_hand(Model(law.replace(priors={"A": dist.LogNormal(0.5, 0.5)}), noise.gaussian, (), ()), table())
    storage.save(fit, tmp_path / "a.nc")
    with pytest.raises(ValueError, match=rf"law {name} is none of bayescale.models; pass law= \(--law"):
        storage.load(tmp_path / "a.nc")
    assert_same(storage.load(tmp_path / "a.nc", law=law), fit)
    with pytest.raises(ValueError, match=f"the fit is of law {name}, and law= is kaplan"):
        storage.load(tmp_path / "a.nc", law=models.load("kaplan"))


def test_law_with_other_parameters(tmp_path):
    storage.save(by_hand(Model(own_law(), noise.gaussian, (), ()), table()), tmp_path / "a.nc")
    other = Law("mine", lambda N, *, A: A * N, {"A": dist.Normal(0.0, 1.0)}, "nowhere")
    with pytest.raises(ValueError, match=r"cannot make its model .*alpha"):
        storage.load(tmp_path / "a.nc", law=other)


# ---- What is not written


def test_prior_that_has_no_name(fit, tmp_path):
    law = fit.model.law.replace(priors={"A": dist.TruncatedNormal(0.0, 1.0, low=0.0)})
    with pytest.raises(ValueError, match=r"the prior of A is LeftTrunc.*it can Beta, .*Weibull"):
        storage.save(fit.replace(model=fit.model.replace(law=law)), tmp_path / "a.nc")
    pooling = (Pooling(("E",), "corpus", dist.TruncatedNormal(0.0, 1.0, low=0.0)),)
    with pytest.raises(ValueError, match="the prior of the scale of the pooling by corpus is LeftTrunc"):
        storage.save(fit.replace(model=fit.model.replace(pooling=pooling)), tmp_path / "a.nc")
    assert not os.listdir(tmp_path)


def test_noise_that_has_no_name(fit, tmp_path):
    model = fit.model.replace(noise=fit.model.noise.replace(name="mine"))
    with pytest.raises(ValueError, match="a file cannot name mine noise; it can average, beta_binomial"):
        storage.save(fit.replace(model=model), tmp_path / "a.nc")


def test_nowhere_to_write(fit, tmp_path, monkeypatch):
    with pytest.raises(OSError, match=r"there is no folder .*absent"):
        storage.save(fit, tmp_path / "absent" / "a.nc")
    with pytest.raises(OSError, match="is a folder; give the name of a file"):
        storage.save(fit, tmp_path)
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(OSError, match=r"the folder .* is not writable"):
        storage.save(fit, tmp_path / "a.nc")


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_nothing_half_written(fit, path, monkeypatch, step):
    before = path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, step, full)
    with pytest.raises(OSError, match=r"fit\.nc was not written: .*No space left"):
        storage.save(fit, path)
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == ["fit.nc"]


def test_importing_it_is_light():
    code = "import bayescale.storage, sys; print({'arviz', 'xarray', 'h5netcdf', 'h5py'} & set(sys.modules))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "set()"
