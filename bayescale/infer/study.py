"""Study: the replicates of a bootstrap, in blocks, and what they say of parameters and decisions."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np

from bayescale import intervals, quantiles
from bayescale.blocks import BLOCK, Store
from bayescale.fit import Fit
from bayescale.infer.replicates import AT_BOUND, CONVERGED, UNFINISHED, Job
from bayescale.intervals import Interval
from bayescale.quantiles import KEPT, Chunks, Description, Number

TOGETHER = 8  # blocks that are read, and decided on, at a time
KINDS = ("percentile", "basic", "bca", "studentised")
STEP = 1e-3  # standard errors, of the differences that tell how a decision depends on parameters

Quantity = str | Callable[[Fit], np.ndarray]


@dataclass(frozen=True)
class Counts:
    """How the refits ended: converged, with a parameter at its bound, or unfinished."""

    converged: int
    at_bound: int
    unfinished: int


@dataclass(frozen=True, eq=False, repr=False)
class Study:
    """The replicates of a bootstrap.

    Quantities are the name of a parameter, or a function of a `Fit` that gives one number for each draw, such as
    `lambda fit: bs.split(fit, 5.76e23)[0]`. Replicates that did not end at a minimum are left out of every
    answer, and counted; where a quantity is not a number in some, the interval says in how many.

    Attributes:
        point: the fit of the table itself.
        job: what blocks are computed with.
        store: the blocks.
        replicates: how many replicates there are.
    """

    point: Fit
    job: Job
    store: Store
    replicates: int

    def __len__(self) -> int:
        return self.replicates

    def __repr__(self) -> str:
        kind = self.job.resampling.kind + "".join(f" by {by}" for by in self.job.resampling.cluster)
        return f"Study({self.point.model.law.name}; {self.replicates} replicates, {kind}; {self.verdict})"

    # ---- Replicates

    def blocks(self, together: int = TOGETHER) -> Iterator[np.ndarray]:
        """The records of the replicates, some blocks at a time."""
        for begin in range(0, self.replicates, together * BLOCK):
            end = min(begin + together * BLOCK, self.replicates)
            some = [self.store.read(number) for number in range(begin // BLOCK, -(-end // BLOCK))]
            yield np.concatenate(some)[: end - begin]

    def fits(self) -> Iterator[Fit]:
        """The replicates that ended at a minimum, as fits of some thousand draws each."""
        for records in self.blocks():
            yield self._fit(records[records["state"] != UNFINISHED])

    def fit(self) -> Fit:
        """All replicates that ended at a minimum as the draws of one fit, for any function of a fit."""
        found = list(self.fits())
        draws = {
            name: np.concatenate([one.draws[name] for one in found], axis=1) for name in self.point.draws
        }
        return self.point.replace(draws=draws, method="bootstrap", stats=self._stats)

    def _fit(self, records: np.ndarray) -> Fit:
        draws = {name: np.array(records[name])[None] for name in self.point.draws}
        return self.point.replace(draws=draws, method="bootstrap", stats=self._stats)

    @cached_property
    def counts(self) -> Counts:
        """How the refits ended."""
        total = np.sum([np.bincount(records["state"], minlength=3) for records in self.blocks()], axis=0)
        return Counts(*(int(total[state]) for state in (CONVERGED, AT_BOUND, UNFINISHED)))

    @property
    def _stats(self) -> dict[str, Any]:
        return {**self.point.stats, "replicates": self.replicates, "unfinished": self.counts.unfinished}

    @property
    def verdict(self) -> str:
        """One line: how the refits ended, and whether that is a result."""
        counts = self.counts
        said = (
            f"{self.replicates} replicates: {counts.converged} converged, {counts.at_bound} with a parameter at its "
            f"bound, {counts.unfinished} unfinished"
        )
        return said if self.converged else f"NOT CONVERGED: {said}"

    @property
    def converged(self) -> bool:
        """Whether the table's own fit has converged, and of the replicates all but one in a thousand."""
        return self.point.converged and self.counts.unfinished <= self.replicates / 1000

    # ---- What they say

    def estimate(self, quantity: Quantity) -> float:
        """A quantity of the fit of the table itself."""
        return float(self._function(quantity)(self.point)[0])

    def values(self, quantity: Quantity) -> np.ndarray:
        """A quantity of every replicate that ended at a minimum, (replicates,)."""
        return np.concatenate(list(self._chunks(quantity)()))

    def describe(self, quantity: Quantity) -> Description:
        """Mean and standard error of a quantity, each with its Monte-Carlo error."""
        return quantiles.describe(self._chunks(quantity))

    def quantiles(self, quantity: Quantity, probabilities: list[float]) -> list[Number]:
        """Quantiles of a quantity, each with its Monte-Carlo error."""
        return quantiles.quantiles(self._chunks(quantity), probabilities)

    def interval(self, quantity: Quantity, *, level: float = 0.95, kind: str = "percentile") -> Interval:
        """An interval for a quantity, with the Monte-Carlo errors of its ends.

        Args:
            quantity: the name of a parameter, or a function of a fit.
            level: its probability.
            kind: "percentile", "basic", "bca" or "studentised"; the last needs a study with errors, and a noise that is
                smooth on the scale of the residuals: few of them lie within a small delta of Huber's to tell an error.

        Raises:
            ValueError: there is no such kind, or the replicates do not allow for it.
        """
        chunks, ended = self._chunks(quantity), self.replicates - self.counts.unfinished
        if kind in ("percentile", "basic", "bca"):
            if kind == "percentile":
                found = intervals.percentile(chunks, level)
            elif kind == "basic":
                found = intervals.basic(chunks, self.estimate(quantity), level)
            else:
                found = intervals.bca(chunks, self.estimate(quantity), self.jackknife(quantity), level)
            return found._replace(left_out=ended - sum(len(values) for values in chunks()))
        if kind == "studentised":
            value, error = (float(one[0]) for one in next(self._pairs(quantity, [self._of_table])))
            return intervals.studentised(partial(self._pairs, quantity), value, error, level)
        raise ValueError(f"there is no interval {kind!r}; there are {', '.join(KINDS)}")

    def below(self, quantity: Quantity, value: float, *, kind: str = "percentile") -> float:
        """How sure intervals of a kind are that a quantity is below a value.

        It is .05 where the value is the lower end of the interval of 90%, and .95 where it is the upper.

        Args:
            quantity: the name of a parameter, or a function of a fit.
            value: what it may be below of.
            kind: of the intervals, as for `interval`.

        Raises:
            ValueError: as for `interval`.
        """
        chunks = self._chunks(quantity)
        if kind == "percentile":
            return intervals.share_below(chunks, value)
        if kind == "basic":
            return 1 - intervals.share_below(chunks, 2 * self.estimate(quantity) - value)
        if kind == "bca":
            return intervals.bca_below(chunks, self.estimate(quantity), self.jackknife(quantity), value)
        if kind == "studentised":
            estimate, error = (float(one[0]) for one in next(self._pairs(quantity, [self._of_table])))
            return intervals.studentised_below(partial(self._pairs, quantity), estimate, error, value)
        raise ValueError(f"there is no interval {kind!r}; there are {', '.join(KINDS)}")

    def jackknife(self, quantity: Quantity) -> np.ndarray:
        """A quantity without each run, or each cluster of runs, in turn, (units,).

        Raises:
            ValueError: clusters cross, so that there is no one unit to leave out; or a refit did not end.
        """
        if len(self.job.resampling.cluster) > 1:
            raise ValueError(
                "clusters that cross have no jackknife, and no BCa interval; take a percentile interval"
            )
        left = self._jackknife
        if (bad := int((left["state"] == UNFINISHED).sum())) > 0:
            raise ValueError(
                f"{bad} of {len(left)} refits without one unit did not end; take a percentile interval"
            )
        return np.asarray(self._function(quantity)(self._fit(left)))

    @cached_property
    def _jackknife(self) -> np.ndarray:
        units = self.job.resampling.units(self.job.runs)[0]
        table, count = np.asarray(self.job.runs.weight), self.job.resampling.counts(self.job.runs)[0]
        there = np.unique(units[table > 0])  # a unit without weight is not there to be left out
        found = []
        for some in np.split(there, range(BLOCK, min(count, len(there)), BLOCK)):
            found.append(self.job.changed({"weight": table * (units[None, :] != some[:, None])}))
        return np.concatenate(found)

    @cached_property
    def _of_table(self) -> np.ndarray:
        """The table itself as a replicate, with its covariance."""
        return self.job.changed({"weight": np.asarray(self.job.runs.weight, float)[None]})

    def _pairs(self, quantity: Quantity, blocks=None) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """A quantity of replicates and its own standard error in each, by the delta method."""
        if not self.job.errors:
            raise ValueError("replicates have no standard errors; run the study with errors=True (--errors)")
        function = self._function(quantity)
        for records in blocks if blocks is not None else self.blocks():
            records = records[records["state"] != UNFINISHED]
            covariance = records["covariance"]
            steps = STEP * np.sqrt(np.abs(np.diagonal(covariance, axis1=1, axis2=2)))
            slopes = []
            for i in range(steps.shape[1]):
                sides = [self._fit(self.job.moved(records, i, side * steps[:, i])) for side in (-1, 1)]
                low, high = (np.asarray(function(side)) for side in sides)
                with np.errstate(invalid="ignore", divide="ignore"):
                    slopes.append((high - low) / (2 * steps[:, i]))
            slope = np.stack(slopes, axis=1)
            variance = np.einsum("ri,rij,rj->r", slope, covariance, slope)
            yield np.asarray(function(self._fit(records))), np.sqrt(np.where(variance > 0, variance, np.nan))

    def _chunks(self, quantity: Quantity) -> Chunks:
        function = self._function(quantity)

        def each() -> Iterator[np.ndarray]:
            for fit in self.fits():
                if len(fit):
                    values = np.asarray(function(fit), float)
                    yield values[~np.isnan(values)]

        if self.replicates > KEPT:
            return each
        # Reading it once costs least; and no quantity of so many replicates takes more than 32 MB.
        held = list(each())
        return lambda: held

    def _function(self, quantity: Quantity) -> Callable[[Fit], np.ndarray]:
        if callable(quantity):
            return quantity
        if quantity in self.point.model.law.parameters:
            return lambda fit: fit.centre()[quantity]
        if quantity in self.point.draws and self.point.draws[quantity].ndim == 2:
            return lambda fit: fit.flat(quantity)
        known = [*self.point.model.law.parameters, *self.point.model.noise.parameters]
        raise ValueError(f"there is no parameter {quantity!r}; there are {', '.join(known)}")
