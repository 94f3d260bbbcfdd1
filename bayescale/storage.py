"""Storage: a fit as a NetCDF file that ArviZ and xarray open, checked before it is believed."""

import re
from pathlib import Path
from typing import Any

import numpy as np

from bayescale import files, netcdf, recipe
from bayescale.fit import Fit
from bayescale.law import Law
from bayescale.runs import Runs
from bayescale.table import CONTROL

ARVIZ = {"num_steps": "n_steps", "accept_prob": "acceptance_rate"}  # ArviZ's names for what NUTS says
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


def save(fit: Fit, path: str | Path) -> None:
    """Write a fit to a NetCDF-4 file, all of it or nothing; a file of that name is replaced.

    Raises:
        ValueError: the model has a prior or a noise that a file cannot name.
        OSError: the file cannot be written.
    """
    groups, attributes = _arrays(fit)
    _plain(attributes)  # what could not be read again is not written
    files.put(path, netcdf.packed(groups, netcdf.as_text(attributes)))


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
        arrays, about = netcdf.read(path)
        _plain(about)
        runs, stats, draws = _runs(arrays, about), _stats(arrays, about), _named(arrays, about, "posterior")
        if runs.hash != about["runs"]["hash"]:
            raise ValueError("the hash of the runs does not match")
    except netcdf.RefusedError as error:
        raise ValueError(f"{path}: {error}") from None
    except _ROTTEN as error:
        raise ValueError(f"{path}: the file is damaged ({error})") from error
    try:
        return Fit(recipe.as_model(about["model"], law), runs, draws, about["method"], stats)
    except recipe.UnknownLawError as error:
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
        "format": netcdf.FORMAT,
        "method": fit.method,
        "stats": scalars,
        "model": recipe.as_data(fit.model),
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
        if values.dtype.str not in netcdf.NUMBERS:
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
                values = np.array([netcdf.shown(n) for n in levels[by]], object)
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


# ---- Reading


def _plain(about: Any) -> None:
    """Refuse text that a terminal would obey."""
    if isinstance(about, str) and CONTROL.search(about):
        raise netcdf.RefusedError("a name in it has control characters; such a file is not read")
    for one in (
        (*about.keys(), *about.values())
        if isinstance(about, dict)
        else about
        if isinstance(about, list)
        else ()
    ):
        _plain(one)


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
