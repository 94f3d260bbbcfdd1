"""Storage: a fit comes back as it was, opens in ArviZ, and a bad file is refused."""

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

from bayescale import models, netcdf, noise, recipe, storage
from bayescale.fit import Fit
from bayescale.law import Law, irrelevant
from bayescale.model import Model
from bayescale.pooling import Effect, Pooling
from bayescale.priors import LogitNormal
from bayescale.runs import Runs

h5py: Any = pytest.importorskip("h5py")
CHAINS, DRAWS = 2, 30


def table():
    rng = np.random.default_rng(1)
    N, D = np.geomspace(1e7, 1e9, 9), np.geomspace(1e9, 1e12, 9)[rng.permutation(9)]
    columns = {"N": N, "D": D, "loss": 2 + 40 / N**0.3 + rng.uniform(0, 0.1, 9)}
    columns |= {
        "gpus": [8.0, 16, 8, 64, 8, 16, 32, 64, 8],
        "width/x": np.arange(9.0),
        "weight": np.arange(1.0, 10),
    }
    columns |= {"corpus": list("aébaébaéb"), "run": list("uuvvwwxxy"), "chain": list("pqpqpqpqp")}
    return Runs.make(columns, factors=["corpus", "run", "chain"], response="loss", source="runs.csv")


def by_hand(model, runs, method="nuts", **more):
    """A fit with invented draws."""
    rng = np.random.default_rng(0)
    shape = (CHAINS, DRAWS)
    draws = {}
    for name, prior in model.priors.items():
        with jax.enable_x64(True):
            draws[name] = np.array(prior.sample(jax.random.key(len(draws)), shape))
    for by, names in model.factors.items():
        for name in names:
            draws[f"{name}_scale"] = rng.gamma(2.0, 0.1, shape)
            draws[name] = rng.normal(0, 0.1, (*shape, len(runs.levels[by])))
    stats = {
        "diverging": rng.random(shape) < 0.05,
        "num_steps": rng.integers(1, 63, shape, dtype=np.int32),
        "accept_prob": rng.random(shape),
        "energy": rng.normal(size=shape),
        "gradients": 1234,
        "rival": np.float64(np.inf),
        "rotten": float("nan"),
        "at_bound": [],
        "key": [0, 7],
        "versions": {"jax": "0"},
        **more,
    }
    return Fit(model, runs, draws, method, stats)


def rich():
    law = irrelevant(models.load("chinchilla"), "gpus").replace(priors={"alpha": LogitNormal(0.1, 0.7)})
    pooling = (Pooling(("E", "A"), "corpus"), Pooling(("B",), "chain", dist.HalfNormal(0.3)))
    effects = (Effect("run"), Effect("corpus", dist.Gamma(2.0, 100.0)))
    return by_hand(Model(law, noise.huber(2e-3).scaled("D/N"), pooling, effects), table())


@pytest.fixture(scope="module")
def fit():
    return rich()


def test_steps_of_the_noise_are_kept_where_they_were(tmp_path):
    model = Model(models.load("power_floor").along("N"), noise.log_normal.stepped("N"), effects=())
    first = by_hand(model.specialise(table()), table())
    storage.save(first, tmp_path / "steps.nc")
    noise_read = storage.load(tmp_path / "steps.nc").model.noise
    assert noise_read.stepped_by == first.model.noise.stepped_by
    assert len(noise_read.stepped_by["N"]) == 4


@pytest.fixture
def path(fit, tmp_path):
    storage.save(fit, tmp_path / "fit.nc")
    return tmp_path / "fit.nc"


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


# ---- What is not read


def test_not_a_fit(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no file .*absent"):
        storage.load(tmp_path / "absent.nc")
    (tmp_path / "a.nc").write_text("N,D,loss\n")
    with pytest.raises(ValueError, match=r"a\.nc: this is not a NetCDF-4 file"):
        storage.load(tmp_path / "a.nc")
    with h5py.File(tmp_path / "b.nc", "w") as file:
        file["group/x"] = np.arange(3.0)
    with pytest.raises(ValueError, match=r"b\.nc: this file is no fit"):
        storage.load(tmp_path / "b.nc")


def change(path, **changes):
    """Change the attributes, and seal the file again."""
    with h5py.File(path, "a") as file:
        about = json.loads(file.attrs["bayescale"])
        for where, value in changes.items():
            *outer, last = where.split("__")
            inner = about
            for name in outer:
                inner = inner[name]
            inner[last] = value
        file.attrs["bayescale"] = json.dumps(about)
    path.write_bytes(netcdf.sealed(path.read_bytes()))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 2}, "the format is 2, and this version of bayescale reads 1"),
        ({"format": None}, "the format is None"),
        ({"runs__hash": "0"}, "damaged .the hash of the runs"),
        ({"runs__levels": {}}, "damaged"),
        ({"model": []}, "cannot make its model"),
        ({"model__law": "../os"}, "is none of bayescale.models"),
        ({"model__law_priors": {"E": ["os.system", {}]}}, "cannot make its model"),
        ({"model__law_priors": {"E": ["Normal", {"loc": "x"}]}}, "cannot make its model"),
        ({"model__noise": "absent"}, "cannot make its model .*there is no noise"),
    ],
)
def test_attributes_that_are_wrong(path, changes, message):
    change(path, **changes)
    with pytest.raises(ValueError, match=message):
        storage.load(path)


def test_changed_content(path):
    with h5py.File(path, "a") as file:
        file["posterior/E"][0, 0] += 1e-12
    with pytest.raises(ValueError, match=r"no fit that bayescale wrote, or its end is missing"):
        storage.load(path)  # HDF5 has cut the seal off
    content = bytearray(path.read_bytes())
    path.write_bytes(content + netcdf.SEAL + bytes(32))
    with pytest.raises(ValueError, match=r"fit\.nc: the file is damaged \(its content is not"):
        storage.load(path)


def test_changed_level(path):
    with h5py.File(path, "a") as file:
        file["posterior/corpus"][0] = "z"
    path.write_bytes(netcdf.sealed(path.read_bytes()))
    with pytest.raises(ValueError, match=r"damaged .the levels of posterior/corpus"):
        storage.load(path)


def test_names_that_a_terminal_would_obey(path):
    change(path, method="nuts\x1b[31m")
    with pytest.raises(ValueError, match=r"fit\.nc: a name in it has control characters"):
        storage.load(path)


def test_cut_short(path):
    whole = path.read_bytes()
    for size in (0, 7, 8, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(ValueError, match=r"damaged|not a NetCDF|no fit"):
            storage.load(path)


def test_flipped_bits(path, monkeypatch):
    """The library of HDF5 is not even asked: on some rotten files it never comes to an end."""
    monkeypatch.setattr(h5py, "File", None)
    whole = path.read_bytes()
    rng = np.random.default_rng(5)
    for place in rng.integers(0, 8 * len(whole), 60).tolist():
        flipped = bytearray(whole)
        flipped[place // 8] ^= 1 << place % 8
        path.write_bytes(flipped)
        with pytest.raises(ValueError, match=r"damaged|not a NetCDF|no fit"):
            storage.load(path)


def secret(folder):
    other = folder / "secret.bin"
    other.write_bytes(np.arange(60.0).tobytes())
    with h5py.File(folder / "other.h5", "w") as file:
        file["x"] = np.arange(60.0).reshape(2, 30)
    return other


def external_link(file, folder):
    file["posterior/E"] = h5py.ExternalLink(str(folder / "other.h5"), "/x")


def external_group(file, folder):
    file["more"] = h5py.ExternalLink(str(folder / "other.h5"), "/")


def soft_link(file, folder):
    file["posterior/E"] = h5py.SoftLink("/posterior/A")


def external_storage(file, folder):
    file["posterior"].create_dataset("E", (2, 30), "f8", external=[(str(folder / "secret.bin"), 0, 480)])


def virtual(file, folder):
    layout = h5py.VirtualLayout((2, 30), "f8")
    layout[:] = h5py.VirtualSource(str(folder / "other.h5"), "x", (2, 30))
    file["posterior"].create_virtual_dataset("E", layout)


def huge(file, folder):
    file["posterior"].create_dataset("E", (10**6, 10**6), "f8", chunks=(1000, 1000))


def huge_chunk(file, folder):
    file["posterior"].create_dataset("E", (2, 30), "f8", chunks=(20_000, 20_000), maxshape=(None, None))


def swollen(file, folder):
    file["posterior"].create_dataset("E", (20_000, 20_000), "f8", chunks=(1000, 1000))


def strange_filter(file, folder):
    file["posterior"].create_dataset("E", (2, 30), "f8", compression="lzf")


def reference(file, folder):
    file["posterior"].create_dataset("E", (2, 30), h5py.ref_dtype)


def nested(file, folder):
    file.create_group("posterior/E")


@pytest.mark.parametrize(
    ("attack", "message"),
    [
        (external_link, "posterior/E is a link to elsewhere"),
        (external_group, "more is a link to elsewhere"),
        (soft_link, "posterior/E is a link to elsewhere"),
        (external_storage, "posterior/E has its values in another file"),
        (virtual, "posterior/E is a virtual dataset"),
        (huge, r"claim 8,000,0\d\d,\d\d\d,\d\d\d bytes"),
        (huge_chunk, "its arrays claim 3,2"),
        (swollen, "its arrays claim 3,2"),
        (strange_filter, "posterior/E is packed as no fit is"),
        (reference, "posterior/E is packed as no fit is, or holds object"),
        (nested, "posterior/E has no place in a fit"),
    ],
)
def test_malicious_files(path, attack, message):
    secret(path.parent)
    with h5py.File(path, "a") as file:
        del file["posterior/E"]
        attack(file, path.parent)
    path.write_bytes(netcdf.sealed(path.read_bytes()))
    with pytest.raises(ValueError, match=message):
        storage.load(path)


def test_importing_it_is_light():
    code = "import bayescale.storage, sys; print({'arviz', 'xarray', 'h5netcdf', 'h5py'} & set(sys.modules))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "set()"
