"""Storage: a fit as a NetCDF file that ArviZ and xarray open, checked before it is believed."""

import contextlib
import hashlib
import json
import math
import os
import re
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpyro.distributions as dist
from numpyro.distributions import Distribution
from numpyro.distributions.transforms import AffineTransform, ExpTransform

from bayescale import models, noise
from bayescale.fit import Fit
from bayescale.law import Law
from bayescale.model import Model
from bayescale.pooling import Effect, Pooling
from bayescale.priors import LogitNormal
from bayescale.runs import Runs

FORMAT = 1  # of what stands in the file; a file of another is refused
LARGEST = 4 * 2**30  # bytes that the arrays of a file may claim together
RATIO = 1100  # and for each byte of the file: gzip packs 1032 into one at most
SIGNATURE = b"\x89HDF\r\n\x1a\n"
NUMBERS = ("<f4", "<f8", "|i1", "<i2", "<i4", "<i8", "|u1", "<u2", "<u4", "<u8", "|b1")
FILTERS = (1, 2, 3)  # deflate, shuffle and fletcher32; any other might load a library
PACKING = {"compression": "gzip", "compression_opts": 4, "shuffle": True, "fletcher32": True}
ARVIZ = {"num_steps": "n_steps", "accept_prob": "acceptance_rate"}  # ArviZ's names for what NUTS says
_NAMED = (
    "Beta Cauchy Chi2 Exponential Gamma Gumbel HalfCauchy HalfNormal InverseGamma Kumaraswamy Laplace "
    "LogNormal Logistic Normal Pareto StudentT Uniform Weibull"
)
PRIORS: dict[str, Any] = {name: getattr(dist, name) for name in _NAMED.split()} | {"LogitNormal": LogitNormal}
# What h5py and its library raise where a file has rotted.
_ROTTEN = (
    OSError,
    RuntimeError,
    LookupError,
    TypeError,
    ValueError,
    AttributeError,
    MemoryError,
    OverflowError,
)


class _RefusedError(ValueError):
    """A file that is not to be read, with the reason."""


def save(fit: Fit, path: str | Path) -> None:
    """Write a fit to a NetCDF-4 file, all of it or nothing; a file of that name is replaced.

    Raises:
        ValueError: the model has a prior or a noise that a file cannot name.
        OSError: the file cannot be written.
    """
    path = Path(path)
    groups, attributes = _arrays(fit)
    text = json.dumps(_plain(attributes), allow_nan=False)
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; give the name of a file, such as fit.nc")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path} was not written: there is no folder {path.parent}")
    if not os.access(path.parent, os.W_OK):
        raise PermissionError(f"{path} was not written: the folder {path.parent} is not writable")
    draft = path.parent / f".{secrets.token_hex(8)}.tmp"
    try:
        _write(draft, groups, text)
        _flush(draft)
        os.replace(draft, path)
    except (OSError, RuntimeError) as error:
        raise OSError(f"{path} was not written: {error}") from error
    finally:
        draft.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # not every system can flush a folder
        _flush(path.parent)


def load(path: str | Path, *, law: Law | None = None) -> Fit:
    """The fit in a file that `save` wrote.

    Args:
        path: the file.
        law: the law, where it is none of `bayescale.models`.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is no fit, is damaged, or claims what a fit does not need.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    try:
        arrays, about = _read(path)
        runs, stats, draws = _runs(arrays, about), _stats(arrays, about), _named(arrays, about, "posterior")
        if runs.hash != about["runs"]["hash"]:
            raise ValueError("the hash of the runs does not match")
    except _RefusedError as error:
        raise ValueError(f"{path}: {error}") from None
    except _ROTTEN as error:
        raise ValueError(f"{path}: the file is damaged ({error})") from error
    try:
        return Fit(_model(about["model"], law), runs, draws, about["method"], stats)
    except _RefusedError as error:
        raise ValueError(f"{path}: {error}") from None
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"{path}: this version of bayescale cannot make its model ({error})") from error


# ---- Writing


def _arrays(fit: Fit) -> tuple[dict, dict[str, Any]]:
    """Group -> variable -> (array, dimensions, coordinate), and everything that is not an array."""
    runs, shape = fit.runs, next(iter(fit.draws.values())).shape[:2]
    by_site = {name: by for by, names in fit.model.factors.items() for name in names}
    posterior, observed, constant = _Group(), _Group(), _Group()
    for site, values in fit.draws.items():
        inner = [(f"{site}_dim_{i}", size) for i, size in enumerate(values.shape[2:])]
        if site in by_site:
            inner = [(f"factor {by_site[site]}", values.shape[2])]
        posterior.add(site, values, [("chain", shape[0]), ("draw", shape[1]), *inner], runs.levels)
    of_draws = {n: np.asarray(v) for n, v in fit.stats.items() if np.shape(v) == shape and _is_array(v)}
    scalars = {name: value for name, value in fit.stats.items() if name not in of_draws}
    sampling = _Group()
    for name, values in of_draws.items():
        sampling.add(name, values, [("chain", shape[0]), ("draw", shape[1])], called=ARVIZ.get(name, name))
    rows = [("run", len(runs))]
    observed.add("response", np.asarray(runs.response), rows, called=runs.kind)
    constant.add("weight", np.asarray(runs.weight), rows)
    for part, values in {"column": runs.columns, "factor": runs.factors}.items():
        for name, one in values.items():
            called = name if part == "column" else f"{name}_index"
            constant.add(f"{part} {name}", np.asarray(one), rows, called=called)
    groups = {"posterior": posterior, "observed_data": observed, "constant_data": constant}
    groups |= {"sample_stats": sampling} if of_draws else {}
    about = {
        "format": FORMAT,
        "method": fit.method,
        "stats": scalars,
        "model": _model_as_text(fit.model),
        "runs": {
            "levels": runs.levels,
            "reference": {name: float(np.asarray(v)) for name, v in runs.reference.items()},
            "unit": float(np.asarray(runs.unit)),
            "kind": runs.kind,
            "source": runs.source,
            "notes": list(runs.notes),
            "hash": runs.hash,
        },
        "names": {name: group.names for name, group in groups.items()},
        "levels_of": posterior.texts,
    }
    return {name: group.variables for name, group in groups.items()}, about


class _Group:
    """The variables of one group of the file, under names that NetCDF takes and that differ."""

    def __init__(self):
        self.variables: dict[str, tuple[np.ndarray, tuple[str, ...]]] = {}
        self.names: dict[str, list[str]] = {}  # variable -> what it is called in a fit, and its type
        self.texts: dict[str, str] = {}  # variable -> the factor whose levels it names
        self._dims: dict[str, str] = {}

    def add(self, name: str, values: np.ndarray, dims: list[tuple[str, int]], levels=None, called=""):
        """Take in an array; its dimensions are names, or "factor " and a factor."""
        values = values.astype(values.dtype.newbyteorder("<"))
        if values.dtype.str not in NUMBERS:
            raise ValueError(f"{name} holds {values.dtype}; a file holds numbers")
        own = tuple(self._dimension(dim, size, levels or {}) for dim, size in dims)
        variable = self._free(called or name)
        self.variables[variable] = (values, own)
        self.names[variable] = [name, values.dtype.str]

    def _dimension(self, dim: str, size: int, levels) -> str:
        if dim not in self._dims:
            by = dim.removeprefix("factor ")
            self._dims[dim] = variable = self._free(by)
            values = np.arange(size, dtype="<i8")
            if by != dim:
                self.texts[variable] = by
                values = np.array([_shown(n) for n in levels[by]], object)
            self.variables[variable] = (values, (variable,))
        return self._dims[dim]

    def _free(self, name: str) -> str:
        name = re.sub(r"[^\w.+()-]", "_", name)
        name = name if name[:1].isalpha() else f"x{name}"
        while name in self.variables:
            name += "_"
        return name


def _is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray) or (hasattr(value, "dtype") and np.ndim(value) > 0)


def _shown(level: str) -> str:
    """The name of a level as HDF5 can hold it; the attributes have it as it is."""
    return level.replace("\0", " ").encode("utf-8", "replace").decode()


def _write(path: Path, groups: dict[str, dict], text: str) -> None:
    import h5netcdf
    import h5py

    with h5netcdf.File(path, "x") as file:
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
        arrays = {f"{g}/{v}": a for g, one in groups.items() for v, (a, _) in one.items()}
        file.attrs["sha256"] = _digest(arrays, text)


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _digest(arrays: dict[str, np.ndarray], text: str) -> str:
    digest = hashlib.sha256()
    for name, values in sorted(arrays.items()):
        if values.dtype == object:  # names of levels, which the text has too
            continue
        kind = "|i1" if values.dtype == bool else values.dtype.str
        digest.update(json.dumps([name, kind, values.shape]).encode())
        digest.update(np.ascontiguousarray(values).tobytes())
    digest.update(text.encode())
    return digest.hexdigest()


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


def _prior(prior: Distribution, of: str) -> list:
    """A prior as its name and its numbers."""
    kind = type(prior).__name__
    if type(prior) is dist.TransformedDistribution:
        steps = [_step(t) for t in prior.transforms]
        if all(steps):
            return ["TransformedDistribution", {"base": _prior(prior.base_dist, of), "steps": steps}]
    if PRIORS.get(kind) is not type(prior) or prior.batch_shape or prior.event_shape:
        known = ", ".join(sorted(PRIORS))
        raise ValueError(f"the prior of {of} is {kind}, which a file cannot name; it can {known}")
    return [kind, {name: float(getattr(prior, name)) for name in type(prior).arg_constraints}]


def _step(transform: Any) -> list | None:
    if isinstance(transform, AffineTransform) and np.ndim(transform.loc) == np.ndim(transform.scale) == 0:
        return ["affine", float(np.asarray(transform.loc)), float(np.asarray(transform.scale))]
    return ["exp"] if isinstance(transform, ExpTransform) else None


def _model_as_text(model: Model) -> dict[str, Any]:
    law, scatter = model.law, model.noise
    if scatter.name not in noise.names():
        raise ValueError(f"a file cannot name {scatter.name} noise; it can {', '.join(noise.names())}")
    groups = [("pooling by", p) for p in model.pooling] + [("effect of", e) for e in model.effects or ()]
    scales = [g.scale and _prior(g.scale, f"the scale of the {said} {g.by}") for said, g in groups]
    effects = model.effects
    if effects is not None:
        effects = [[e.by, scale] for e, scale in zip(effects, scales[len(model.pooling) :], strict=True)]
    return {
        "law": law.name,
        "ours": law.name in models.names() and models.load(law.name).mean is law.mean,
        "law_priors": {p: _prior(prior, p) for p, prior in law.priors.items()},
        "spread": {p: float(v) for p, v in law.spread.items()},
        "columns": law.columns,
        "irrelevant": law.irrelevant,
        "noise": scatter.name,
        "settings": scatter.settings,
        "scaled_by": scatter.scaled_by,
        "noise_priors": {p: _prior(prior, p) for p, prior in scatter.priors.items()},
        "pooling": [[p.vary, p.by, scale] for p, scale in zip(model.pooling, scales, strict=False)],
        "effects": effects,
    }


# ---- Reading


def _read(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Group/variable -> array, and everything that is not an array, once the file may be believed."""
    import h5py

    with path.open("rb") as raw:
        if raw.read(len(SIGNATURE)) != SIGNATURE:
            raise _RefusedError("this is not a NetCDF-4 file; a fit is what `save` wrote")
    with h5py.File(path, "r") as file:
        found = dict(_walk(h5py, file))
        _bounded(found.values(), path.stat().st_size)
        if "bayescale" not in file.attrs or "sha256" not in file.attrs:
            raise _RefusedError("this file is no fit that bayescale wrote")
        text, digest = (_text(h5py, file, name) for name in ("bayescale", "sha256"))
        about = json.loads(text, object_hook=_exact)
        if about["format"] != FORMAT:
            raise _RefusedError(
                f"the format is {about['format']!r}, and this version of bayescale reads {FORMAT}"
            )
        arrays = {name: data[()] for name, data in found.items() if data.dtype.kind != "O"}
        if not secrets.compare_digest(_digest(arrays, text).encode(), digest.encode()):
            raise ValueError("its content is not what was written")
        for name, data in found.items():
            if data.dtype.kind == "O":
                levels = [_shown(n) for n in about["runs"]["levels"][about["levels_of"][name.split("/")[1]]]]
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
                raise _RefusedError(f"{where} is a link to elsewhere; such a file is not read")
            kind = group.get(name, getclass=True)
            if kind is h5py.Group and not place:
                continue
            if kind is not h5py.Dataset or not place:
                raise _RefusedError(f"{where} has no place in a fit")
            data = group[name]
            plan = data.id.get_create_plist()
            if plan.get_external_count():
                raise _RefusedError(f"{where} has its values in another file; such a file is not read")
            if plan.get_layout() == h5py.h5d.VIRTUAL:
                raise _RefusedError(f"{where} is a virtual dataset, made of others; such a file is not read")
            filters = [plan.get_filter(i)[0] for i in range(plan.get_nfilters())]
            known = data.dtype.str in NUMBERS or h5py.check_string_dtype(data.dtype)
            if not set(filters) <= set(FILTERS) or not known:
                raise _RefusedError(f"{where} is packed as no fit is, or holds {data.dtype}")
            yield where, data


def _bounded(arrays, size: int) -> None:
    cells = [(max(math.prod(a.shape or ()), math.prod(a.chunks or ())), a.dtype.itemsize) for a in arrays]
    claimed = sum(count * each for count, each in cells)
    if claimed > min(LARGEST, RATIO * size):
        raise _RefusedError(
            f"its arrays claim {claimed:,} bytes, in a file of {size:,}; such a file is not read"
        )


def _text(h5py, file, name: str) -> str:
    held = h5py.h5a.open(file.id, name.encode())
    if held.shape != () or not h5py.check_string_dtype(held.dtype):
        raise _RefusedError(f"the attribute {name} is no text")
    return file.attrs[name]


def _exact(value: dict) -> Any:
    return float(value["float"]) if set(value) == {"float"} else value


def _named(arrays, about, group: str) -> dict[str, np.ndarray]:
    names = about["names"].get(group, {})
    found = {}
    for variable, (name, kind) in names.items():
        values = arrays[f"{group}/{variable}"]
        found[name] = values.view(bool) if kind == "|b1" else values.astype(np.dtype(kind), copy=False)
    return found


def _stats(arrays, about) -> dict[str, Any]:
    return {**_named(arrays, about, "sample_stats"), **about["stats"]}


def _runs(arrays, about) -> Runs:
    said, constant = about["runs"], _named(arrays, about, "constant_data")

    def part(which: str) -> dict[str, Any]:
        return {n.removeprefix(which): v for n, v in constant.items() if n.startswith(which)}

    return Runs(
        part("column "),
        _named(arrays, about, "observed_data")["response"],
        part("factor "),
        constant["weight"],
        {name: np.float64(v) for name, v in said["reference"].items()},
        np.float64(said["unit"]),
        {name: tuple(levels) for name, levels in said["levels"].items()},
        said["kind"],
        said["source"],
        tuple(said["notes"]),
    )


def _as_prior(said: list) -> Distribution:
    kind, numbers = said
    if kind != "TransformedDistribution":
        return PRIORS[kind](**{name: float(value) for name, value in numbers.items()})
    base, steps = _as_prior(numbers["base"]), []
    support: Any = base.support
    for name, *values in numbers["steps"]:
        numeric = [float(v) for v in values]
        steps.append(ExpTransform(support) if name == "exp" else AffineTransform(*numeric, domain=support))
        support = steps[-1].codomain
    return dist.TransformedDistribution(base, steps)


def _model(said: dict[str, Any], law: Law | None) -> Model:
    name = said["law"]
    if law is None:
        if not said["ours"] or name not in models.names():
            raise _RefusedError(
                f"law {name} is none of bayescale.models; pass law= (--law on the command line)"
            )
        law = models.load(name)
    elif law.name != name:
        raise _RefusedError(f"the fit is of law {name}, and law= is {law.name}")
    priors = {p: _as_prior(one) for p, one in said["law_priors"].items()}
    law = law.replace(
        priors=priors, spread=said["spread"], columns=said["columns"], irrelevant=tuple(said["irrelevant"])
    )
    scatter = noise.load(said["noise"], **said["settings"])
    priors = {p: _as_prior(one) for p, one in said["noise_priors"].items()}
    scatter = scatter.replace(scaled_by=tuple(said["scaled_by"]), priors=priors)
    pooling = tuple(Pooling(tuple(vary), by, one and _as_prior(one)) for vary, by, one in said["pooling"])
    effects = said["effects"]
    if effects is not None:
        effects = tuple(Effect(by, one and _as_prior(one)) for by, one in effects)
    return Model(law, scatter, pooling, effects)
