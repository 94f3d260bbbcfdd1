"""Runs: the table of runs, checked at the door, and its reference run."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import jax
import numpy as np
import numpy.typing as npt
from jax.core import Tracer
from jax.typing import ArrayLike

from bayescale import readers
from bayescale.columns import label
from bayescale.intake import fields
from bayescale.table import Table


@jax.tree_util.register_pytree_node_class
@dataclass(frozen=True, eq=False, repr=False)
class Runs:
    """The table of runs. A pytree: it goes through jit, vmap and shard_map.

    Attributes:
        columns: covariate -> (runs,), natural units, float64; `trials` stands here too.
        response: (runs,); the loss, in nats for each token, or the number of successes out of `trials`.
        factors: grouping column -> index of the level of each run, (runs,).
        weight: how many times each run counts, (runs,).
        reference: the reference run, covariate -> its geometric mean (nan where it is not positive).
        unit: the response that counts as 1: the least loss measured; 1 for successes.
        levels: the names of the levels of each factor.
        kind: "loss" or "success".
        source: the file or data set the table came from.
        notes: what was recognised, derived and left out when the table was read.
    """

    columns: dict[str, ArrayLike]
    response: ArrayLike
    factors: dict[str, ArrayLike]
    weight: ArrayLike
    reference: dict[str, ArrayLike]
    unit: ArrayLike
    levels: dict[str, tuple[str, ...]] = field(default_factory=dict)
    kind: str = "loss"
    source: str = ""
    notes: tuple[str, ...] = ()

    def tree_flatten(self):
        """The arrays, and what a function is compiled for."""
        leaves = (self.columns, self.response, self.factors, self.weight, self.reference, self.unit)
        # Neither the file nor what was said of it may make a function compile again.
        return leaves, (tuple(self.levels.items()), self.kind)

    @classmethod
    def tree_unflatten(cls, static, leaves):
        """The inverse of `tree_flatten`; nothing is checked, since JAX puts more than arrays here."""
        levels, kind = static
        return cls(*leaves, levels=dict(levels), kind=kind)

    @classmethod
    def make(
        cls,
        columns: Mapping[str, npt.ArrayLike],
        *,
        response: str | None = None,
        factors: Iterable[str] = (),
        vocabulary: float | None = None,
        names: Mapping[str, str] | None = None,
        where: str | None = None,
        duplicates: str = "refuse",
        source: str = "table",
    ) -> "Runs":
        """The runs in a mapping from names to arrays.

        Args:
            columns: name -> (runs,), numbers, or text such as "7B".
            response: the column of the response; where nothing is said, the one column of losses or of
                successes. A column that is not known to count successes is taken as a loss.
            factors: the columns that group runs, besides those that do by custom, as family or run_id;
                "size" groups runs of one N, or of nearly one N where no two are the same.
            vocabulary: the number of tokens of the tokenizer; no loss may be above its logarithm.
            names: name -> column, where a column is not recognised, or two are: {"N": "params_total"}.
            where: the rows that count, as "in_fit_subset = 1, step > 0".
            duplicates: "refuse" or "keep" rows that are the same in every column.
            source: what the table is called in messages.

        Raises:
            ValueError: the table cannot be what it is taken for; the message names row and column.
            TypeError: a column holds neither numbers nor text.

        >>> Runs.make({"params": ["70M", "1.4B"], "tokens": [3e9, 3e10], "loss": [3.9, 2.8]})
        Runs(2 runs of loss 2.8 to 3.9; N 70M to 1.4B; D 3B to 30B; C 1.26e18 to 2.52e20)
        """
        table = readers.from_arrays(columns, source=source)
        return cls._of(table, response, factors, vocabulary, names, where, duplicates)

    @classmethod
    def from_table(
        cls,
        frame: object,
        *,
        response: str | None = None,
        factors: Iterable[str] = (),
        vocabulary: float | None = None,
        names: Mapping[str, str] | None = None,
        where: str | None = None,
        duplicates: str = "refuse",
        source: str = "table",
    ) -> "Runs":
        """The runs in a pandas, polars or Arrow table; everything else as in `make`."""
        table = readers.from_frame(frame, source=source)
        return cls._of(table, response, factors, vocabulary, names, where, duplicates)

    @classmethod
    def read(
        cls,
        path: str | Path,
        *,
        response: str | None = None,
        factors: Iterable[str] = (),
        vocabulary: float | None = None,
        names: Mapping[str, str] | None = None,
        where: str | None = None,
        duplicates: str = "refuse",
    ) -> "Runs":
        """The runs in a file that ends in csv, tsv, jsonl or ndjson, each also with .gz, or in parquet.

        Everything else is as in `make`.
        """
        table = readers.from_file(path)
        return cls._of(table, response, factors, vocabulary, names, where, duplicates)

    @classmethod
    def read_csv(
        cls,
        path: str | Path,
        *,
        response: str | None = None,
        factors: Iterable[str] = (),
        vocabulary: float | None = None,
        names: Mapping[str, str] | None = None,
        where: str | None = None,
        separator: str = ",",
        duplicates: str = "refuse",
    ) -> "Runs":
        """The runs in a file of separated values, plain or .gz; everything else as in `make`."""
        table = readers.from_csv(path, separator=separator)
        return cls._of(table, response, factors, vocabulary, names, where, duplicates)

    @classmethod
    def _of(cls, table: Table, response, factors, vocabulary, names, where, duplicates) -> "Runs":
        found = fields(
            table,
            response=response,
            factors=factors,
            vocabulary=vocabulary,
            names=names,
            where=where,
            duplicates=duplicates,
        )
        reference, unit = _measures(found["columns"], found["response"], found["kind"])
        return cls(**found, weight=np.ones(len(found["response"])), reference=reference, unit=unit)

    def __len__(self) -> int:
        return int(np.shape(self.weight)[-1])

    def __repr__(self) -> str:
        if not isinstance(self.response, np.ndarray | jax.Array) or isinstance(self.response, Tracer):
            return f"Runs({self.kind}; {', '.join(self.columns)})"  # inside a transformation
        parts = [f"{len(self)} runs of {self.kind} {_range(self.response)}"]
        parts += [f"{name} {_range(values)}" for name, values in self.columns.items()]
        parts += [f"{len(levels)} levels of {name}" for name, levels in self.levels.items()]
        return f"Runs({'; '.join(parts)})"

    def describe(self) -> str:
        """The number of runs, the range of each covariate and the levels of each factor, a line for each."""
        names = [self.kind, *self.columns, *self.levels]
        said = [_range(self.response)]
        said += [_range(values) for values in self.columns.values()]
        said += [f"{len(levels)} levels" for levels in self.levels.values()]
        width = max(map(len, names))
        lines = [f"{name:<{width}}  {text}" for name, text in zip(names, said, strict=True)]
        return "\n".join([f"{len(self)} runs from {self.source}", *lines])

    def replace(self, **changes) -> "Runs":
        """The table with some of its fields changed; the reference run and the unit stay."""
        return replace(self, **changes)

    def subset(self, mask: npt.ArrayLike) -> "Runs":
        """The runs where `mask`, (runs,), is true, with the reference run and the unit made of them alone.

        Levels of which no run is left are dropped.

        Raises:
            ValueError: the mask is not one truth value for each run, or leaves no run.
        """
        mask = np.asarray(mask)
        if mask.dtype != bool or mask.shape != (len(self),):
            raise ValueError(f"the mask is {mask.dtype} {mask.shape}; expected bool ({len(self)},)")
        if not mask.any():
            raise ValueError(f"the mask leaves none of {len(self)} runs")
        columns = {name: np.asarray(values)[mask] for name, values in self.columns.items()}
        response = np.asarray(self.response)[mask]
        factors, levels = {}, {}
        for name, index in self.factors.items():
            kept, factors[name] = np.unique(np.asarray(index)[mask], return_inverse=True)
            levels[name] = tuple(self.levels[name][level] for level in kept)
            factors[name] = factors[name].astype(np.int32)
        reference, unit = _measures(columns, response, self.kind)
        return self.replace(
            columns=columns,
            response=response,
            factors=factors,
            levels=levels,
            weight=np.asarray(self.weight)[mask],
            reference=reference,
            unit=unit,
        )

    @property
    def measured(self) -> str:
        """The hash without factors, of which one fit of the same runs has more than another."""
        return self.replace(factors={}, levels={}).hash

    @property
    def hash(self) -> str:
        """The SHA-256 of the runs, in hexadecimal; the file and the order of its columns do not matter."""
        digest = hashlib.sha256()
        arrays = {f"column {name}": values for name, values in self.columns.items()}
        arrays |= {f"factor {name}": index for name, index in self.factors.items()}
        arrays |= {self.kind: self.response, "weight": self.weight}
        for name, values in sorted(arrays.items()):
            digest.update(json.dumps([name, len(self)]).encode())
            digest.update(np.asarray(values, dtype="<f8").tobytes())
        digest.update(json.dumps(sorted(self.levels.items())).encode())
        return digest.hexdigest()


def _measures(
    columns: Mapping[str, np.ndarray], response: np.ndarray, kind: str
) -> tuple[dict[str, ArrayLike], ArrayLike]:
    """The reference run, and the response that counts as 1."""
    reference: dict[str, ArrayLike] = {
        name: np.exp(np.mean(np.log(values))) if (values > 0).all() else np.float64(np.nan)
        for name, values in columns.items()
    }
    if "U" in reference and "D" in reference:
        reference["U"] = reference["D"]  # D / U is the number of epochs in any unit
    return reference, np.min(response) if kind == "loss" else np.float64(1.0)


def _range(values: ArrayLike) -> str:
    least, most = label(float(np.min(values))), label(float(np.max(values)))
    return least if least == most else f"{least} to {most}"
