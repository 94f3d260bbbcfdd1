"""NetCDF: named arrays and one text in a file, checked before they are believed."""

import hashlib
import io
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

FORMAT = 1  # of what stands in the file; a file of another is refused
LARGEST = 4 * 2**30  # bytes that the arrays of a file may claim together
RATIO = 1100  # and for each byte of the file: gzip packs 1032 into one at most
SIGNATURE = b"\x89HDF\r\n\x1a\n"
SEAL = b"bayescale sha256"  # stands at the end of a file, with the hash of what comes before
CHUNK = 1 << 20  # bytes that are hashed at a time
NO_FIT = "this file is no fit that bayescale wrote, or its end is missing (files from before they had a seal have none)"
NUMBERS = ("<f4", "<f8", "|i1", "<i2", "<i4", "<i8", "|u1", "<u2", "<u4", "<u8", "|b1")
FILTERS = (1, 2, 3)  # deflate, shuffle and fletcher32; any other might load a library
PACKING = {"compression": "gzip", "compression_opts": 4, "shuffle": True, "fletcher32": True}


class RefusedError(ValueError):
    """A file that is not to be read, with the reason."""


def packed(groups: dict[str, dict], text: str) -> bytes:
    """Group -> variable -> (array, dimensions), and a text, as the bytes of a file.

    HDF5 gets no disk to write to: where that is full it does not come back.
    """
    import h5netcdf
    import h5py

    held = io.BytesIO()
    with h5netcdf.File(held, "w") as file:
        for name, variables in groups.items():
            group = file.create_group(name)
            for size, dim in {
                (n, d) for a, dims in variables.values() for n, d in zip(a.shape, dims, strict=True)
            }:
                group.dimensions[dim] = size
            for variable, (values, dims) in variables.items():
                if values.dtype == object:
                    group.create_variable(variable, dims, h5py.string_dtype(), data=values)
                    continue
                stored = values.view("i1") if values.dtype == bool else values
                made = group.create_variable(variable, dims, stored.dtype, data=stored, **PACKING)
                if values.dtype == bool:
                    made.attrs["dtype"] = "bool"  # xarray's way
        file.attrs["bayescale"] = text
    return sealed(held.getvalue())


def sealed(data: bytes) -> bytes:
    """Bytes with their hash, behind what HDF5 reads of them.

    On a file that has rotted the HDF5 library may never come to an end, so that it is asked only for what is whole.
    """
    return data + SEAL + hashlib.sha256(data).digest()


def _sealed(path: Path) -> None:
    """Refuse a file that is not as `sealed` made it."""
    length = path.stat().st_size - len(SEAL) - hashlib.sha256().digest_size
    with path.open("rb") as file:
        if file.read(len(SIGNATURE)) != SIGNATURE:
            raise RefusedError("this is not a NetCDF-4 file; a fit is what `save` wrote")
        if length < 0 or length > LARGEST:
            raise RefusedError(NO_FIT)
        file.seek(length)
        if file.read(len(SEAL)) != SEAL:
            raise RefusedError(NO_FIT)
        written = file.read()
        file.seek(0)
        digest = hashlib.sha256()
        for begin in range(0, length, CHUNK):
            digest.update(file.read(min(CHUNK, length - begin)))
    if digest.digest() != written:
        raise ValueError("its content is not what was written")


def shown(level: str) -> str:
    """The name of a level as HDF5 can hold it; the attributes have it as it is."""
    return level.replace("\0", " ").encode("utf-8", "replace").decode()


def read(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Group/variable -> array, and everything that is not an array, once the file may be believed."""
    import h5py

    _sealed(path)
    with h5py.File(path, "r") as file:
        found = dict(_walk(h5py, file))
        _bounded(found.values(), path.stat().st_size)
        if "bayescale" not in file.attrs:
            raise RefusedError(NO_FIT)
        text = _text(h5py, file, "bayescale")
        about = json.loads(text, object_hook=_exact)
        if about["format"] != FORMAT:
            raise RefusedError(
                f"the format is {about['format']!r}, and this version of bayescale reads {FORMAT}"
            )
        arrays = {name: data[()] for name, data in found.items() if data.dtype.kind != "O"}
        for name, data in found.items():
            if data.dtype.kind == "O":
                levels = [shown(n) for n in about["runs"]["levels"][about["levels_of"][name.split("/")[1]]]]
                # A few at a time: each could be as long as the file.
                parts = (range(i, min(i + 64, len(levels))) for i in range(0, len(levels), 64))
                same = all(data.asstr()[p.start : p.stop].tolist() == levels[p.start : p.stop] for p in parts)
                if data.shape != (len(levels),) or not same:
                    raise ValueError(f"the levels of {name} do not match")
    return arrays, about


def _walk(h5py, file) -> Iterator[tuple[str, Any]]:
    """The arrays of the groups; anything but plain arrays in the file itself is refused."""
    for place in ["", *file]:
        group = file[place] if place else file
        for name in group:
            link, where = group.get(name, getlink=True), f"{place}/{name}".strip("/")
            if not isinstance(link, h5py.HardLink):
                raise RefusedError(f"{where} is a link to elsewhere; such a file is not read")
            kind = group.get(name, getclass=True)
            if kind is h5py.Group and not place:
                continue
            if kind is not h5py.Dataset or not place:
                raise RefusedError(f"{where} has no place in a fit")
            data = group[name]
            plan = data.id.get_create_plist()
            if plan.get_external_count():
                raise RefusedError(f"{where} has its values in another file; such a file is not read")
            if plan.get_layout() == h5py.h5d.VIRTUAL:
                raise RefusedError(f"{where} is a virtual dataset, made of others; such a file is not read")
            filters = [plan.get_filter(i)[0] for i in range(plan.get_nfilters())]
            known = data.dtype.str in NUMBERS or h5py.check_string_dtype(data.dtype)
            if not set(filters) <= set(FILTERS) or not known:
                raise RefusedError(f"{where} is packed as no fit is, or holds {data.dtype}")
            yield where, data


def _bounded(arrays, size: int) -> None:
    cells = [(max(math.prod(a.shape or ()), math.prod(a.chunks or ())), a.dtype.itemsize) for a in arrays]
    claimed = sum(count * each for count, each in cells)
    if claimed > min(LARGEST, RATIO * size):
        raise RefusedError(
            f"its arrays claim {claimed:,} bytes, in a file of {size:,}; such a file is not read"
        )


def _text(h5py, file, name: str) -> str:
    held = h5py.h5a.open(file.id, name.encode())
    if held.shape != () or not h5py.check_string_dtype(held.dtype):
        raise RefusedError(f"the attribute {name} is no text")
    return file.attrs[name]


def as_text(attributes: Mapping[str, Any]) -> str:
    """What is not an array, as one text."""
    return json.dumps(_plain(attributes), allow_nan=False)


def _plain(value: Any) -> Any:
    """As JSON can hold it: what is not finite becomes {"float": "nan"}."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if hasattr(value, "dtype"):
        return _plain(np.asarray(value).tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": str(value)}
    return value


def _exact(value: dict) -> Any:
    return float(value["float"]) if set(value) == {"float"} else value
