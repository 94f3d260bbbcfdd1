"""Files that are no fit, damaged ones, and those made to do harm: each is refused."""

import json
from typing import Any

import numpy as np
import pytest

from bayescale import netcdf, storage
from tests.stored import fit as fit
from tests.stored import path as path

h5py: Any = pytest.importorskip("h5py")


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
