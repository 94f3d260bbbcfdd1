"""What became of the forecasts of a back-test: scores, skill, and what follows for the next forecast."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from jax import Array
from scipy.stats import binom

from bayescale.check.as_data import of_backtest
from bayescale.check.discrepancy import drift_of, drifted
from bayescale.check.finding import Finding, sorted_by_severity
from bayescale.check.forecasts import Forecast, Forecasts, Row
from bayescale.check.scores import bootstrap_error, crps, pit, quantiles_of, scores
from bayescale.check.sensitivity import covariate
from bayescale.fit import Fit
from bayescale.forecast import complete
from bayescale.runs import Runs

GAPS = (0.0, 0.5, 1.0, 1.5, 2.0, np.inf)  # decades
DISTANCES = tuple(
    f"{low:g} to {high:g} decades" if np.isfinite(high) else f"beyond {low:g} decades"
    for low, high in pairwise(GAPS)
)
SHORT = 0.8  # coverage of the 90% intervals below which they are too narrow to be believed
CHANCE = 0.05  # of as little in as many units, were intervals right; where it is more nothing is said of a distance


@dataclass(frozen=True, eq=False)
class Backtest:
    """Forecasts of runs that are known, and what became of them.

    Attributes:
        runs: the table.
        by: the covariate along which the small runs predicted the large ones, or the factor of which one level after
            the other was left out.
        forecasts: those of each fold.
    """

    runs: Runs
    by: str
    forecasts: tuple[Forecasts, ...]

    @cached_property
    def index(self) -> np.ndarray:
        """The run that each forecast was of, fold after fold, (forecasts,)."""
        return np.concatenate([one.index for one in self.forecasts])

    @cached_property
    def unit(self) -> np.ndarray:
        """What each forecast is of that is independent of others, (forecasts,).

        It is a level, a training run, of tasks a model, or a row.
        """
        named = (self.by, "run", *(["model"] if self.runs.kind == "success" else []))
        of = next((name for name in named if name in self.runs.levels), None)
        return np.asarray(self.runs.factors[of])[self.index] if of else self.index

    @cached_property
    def truth(self) -> np.ndarray:
        """What was measured there, (forecasts,)."""
        return measured(self.runs)[self.index]

    @cached_property
    def gap(self) -> np.ndarray:
        """By how many decades each was beyond the known runs, (forecasts,); nan where levels were left out."""
        return np.concatenate([one.fold.gap[one.index] for one in self.forecasts])

    @cached_property
    def quantiles(self) -> np.ndarray:
        """The forecasts, (quantiles, forecasts)."""
        return np.concatenate([one.quantiles for one in self.forecasts], axis=1)

    @cached_property
    def rivals(self) -> dict[str, np.ndarray]:
        """The forecasts of the baselines, name -> (quantiles, forecasts)."""
        names = self.forecasts[0].rivals
        return {name: np.concatenate([one.rivals[name] for one in self.forecasts], axis=1) for name in names}

    @cached_property
    def pit(self) -> np.ndarray:
        """The probability integral transform of each forecast, uniform where they are calibrated, (forecasts,)."""
        return pit(self.quantiles, self.truth)

    # ---- Scores

    @cached_property
    def total(self) -> Row:
        """Those of all forecasts."""
        return self.row("all", np.ones(len(self.index), bool))

    @cached_property
    def by_gap(self) -> tuple[Row, ...]:
        """Those of the forecasts by how far they reached; nothing where levels were left out."""
        return tuple(self.row(said, chosen) for said, chosen in self.distances.items())

    @cached_property
    def distances(self) -> dict[str, np.ndarray]:
        """Which forecasts reached how far, each (forecasts,); nothing where levels were left out."""
        found = {said: _distance(self.gap) == k for k, said in enumerate(DISTANCES)}
        return {said: chosen for said, chosen in found.items() if chosen.any()}

    @cached_property
    def by_fold(self) -> tuple[Row, ...]:
        """Those of each fold."""
        fold = np.repeat(np.arange(len(self.forecasts)), [len(one.index) for one in self.forecasts])
        return tuple(self.row(one.fold.name, fold == k) for k, one in enumerate(self.forecasts))

    def row(self, said: str, chosen: np.ndarray) -> Row:
        """The scores of the chosen forecasts, (forecasts,)."""
        truth, drawn = self.truth[chosen], self.quantiles[:, chosen]
        ours = crps(drawn, truth)
        theirs = {name: crps(rival[:, chosen], truth) for name, rival in self.rivals.items()}
        best = min(theirs, key=lambda name: np.nan_to_num(theirs[name].mean(), nan=np.inf))
        log_score = np.concatenate([one.log_score for one in self.forecasts])[chosen]
        return Row(
            said,
            scores(drawn, truth, log_score),
            best,
            scores(self.rivals[best][:, chosen], truth),
            float(1 - ours.sum() / total) if (total := theirs[best].sum()) > 0 else float("nan"),
            bootstrap_error(np.random.default_rng(0), ours, theirs[best], self.unit[chosen]),
        )

    # ---- What follows for the next forecast

    @cached_property
    def drift(self) -> float:
        """The standard deviation, over a decade, of what forecasts were off beyond what they allowed for.

        On the scale of the logarithm of the loss, or of the logit of success; 0 where 90% intervals held at least 80%
        of the time, at every distance too, and where levels were left out.
        """
        if np.isnan(self.gap).any() or not self._short:
            return 0.0
        return drift_of(self.quantiles, self.truth, self.gap, self.runs.kind)

    @cached_property
    def _short(self) -> tuple[Row, ...]:
        """Where 90% intervals held too seldom: in all, and at what distances by more than chance with so many units."""

        def by_chance(row: Row) -> bool:
            units = len(np.unique(self.unit[self.distances[row.said]]))
            return bool(binom.cdf(round(row.ours.cover90 * units), units, 0.9) > CHANCE)

        short = [self.total] if self.total.ours.cover90 < SHORT else []
        return (*short, *(row for row in self.by_gap if row.ours.cover90 < SHORT and not by_chance(row)))

    @cached_property
    def widened(self) -> "Backtest":
        """The back-test with a drift in its forecasts, that of each run found from the forecasts of all other runs.

        They share its folds, so that the coverage is a little better than that of a new study would be.

        Its log scores are those without a drift: nan.
        """
        own = np.zeros(len(self.index))
        for unit in np.unique(self.unit) if self.drift else []:
            other = self.unit != unit
            own[~other] = drift_of(
                self.quantiles[:, other], self.truth[other], self.gap[other], self.runs.kind
            )
        begin, made = 0, []
        for one in self.forecasts if self.drift else []:
            mine = slice(begin, begin := begin + len(one.index))
            wider = drifted(one.quantiles, self.gap[mine], own[mine], self.runs.kind)
            made.append(replace(one, quantiles=wider, log_score=np.full(len(one.index), np.nan)))
        return replace(self, forecasts=tuple(made)) if self.drift else self

    def forecast(self, key: Array, fit: Fit, points: Mapping[str, npt.ArrayLike], **levels: str) -> Forecast:
        """What a fit predicts of new runs, with the drift and the record of this back-test.

        Args:
            key: the random key.
            fit: a fit of all runs.
            points: covariate -> (points,), natural units.
            levels: the level of each factor by which parameters differ.

        Raises:
            ValueError: the back-test left levels out, a covariate is missing, or a level is.
        """
        if self.by in self.runs.levels:
            raise ValueError(
                f"the back-test left out levels of {self.by}; a gap in decades needs a covariate"
            )
        drawn = fit.predict(points, kind="new_run", key=key, **levels)
        gap = gap_of(fit.runs, self.by, points)
        tested = []
        for one in gap:
            like = _distance(self.gap) == _distance(one)
            tested.append(scores(self.widened.quantiles[:, like], self.truth[like]) if like.any() else None)
        return Forecast(
            drifted(quantiles_of(drawn), gap, self.drift, self.runs.kind), gap, self.drift, tuple(tested)
        )

    @cached_property
    def findings(self) -> tuple[Finding, ...]:
        """What there is to say of the forecasts, the most severe first."""
        found = (self._unfinished, self._doubtful, self._without_skill, self._too_narrow)
        return sorted_by_severity([finding for one in found for finding in one()])

    def _unfinished(self):
        bad = [one for one in self.forecasts if one.trouble]
        if bad:
            yield Finding(
                "FOLD_NOT_CONVERGED",
                "severe",
                f"{len(bad)} of {len(self.forecasts)} folds did not converge, first {bad[0].fold.name}: "
                f"{bad[0].trouble[0]}",
                float(len(bad)),
                "Their forecasts are scored as they are; draw longer",
            )

    def _doubtful(self):
        bad = [one for one in self.forecasts if one.doubt]
        if bad:
            yield Finding(
                "FOLD_CHOICE_DOUBTFUL",
                "warning",
                f"in {len(bad)} of {len(self.forecasts)} folds evidence that counts is in doubt, first "
                f"{bad[0].fold.name}: {bad[0].model} was taken, and {bad[0].doubt[0]}",
                float(len(bad)),
                "Draw longer, or test each law alone",
            )

    def _without_skill(self):
        for row in self.by_gap or (self.total,):
            if not row.skill > 0:
                yield Finding(
                    "NO_SKILL",
                    "warning",
                    f"{row.said}: {row.rival} is no worse (CRPS {row.theirs.crps:.3g} against {row.ours.crps:.3g}, "
                    f"skill {row.skill:.2f}, error {row.error:.2f})"
                    if np.isfinite(row.error)
                    else f"{row.said}: {row.rival} is no worse for the one that there is (CRPS {row.theirs.crps:.3g} "
                    f"against {row.ours.crps:.3g})",
                    row.skill,
                    f"Forecast with {row.rival} there",
                )

    def _too_narrow(self):
        wider = {row.said: row.ours.cover90 for row in (self.widened.total, *self.widened.by_gap)}
        for row in self._short:
            yield Finding(
                "COVERAGE",
                "warning",
                f"{row.said}: the 90% intervals held {row.ours.cover90:.0%} of {row.ours.count} times",
                row.ours.cover90,
                f"Forecast with a drift of {self.drift:.2g} a decade, with which they hold {wider[row.said]:.0%}"
                if self.drift
                else "Take them for too narrow",
            )

    def to_dict(self) -> dict[str, Any]:
        """The back-test as plain values, for JSON; numbers may be nan."""
        return of_backtest(self)

    @property
    def verdict(self) -> str:
        """One sentence: whether the law predicts better than what needs no law."""
        row = self.total
        said = (
            f"CRPS {row.ours.crps:.3g} against {row.theirs.crps:.3g} of {row.rival}, the best baseline: skill "
            f"{row.skill:.2f} (error {row.error:.2f}); 90% intervals held {row.ours.cover90:.0%} of {row.ours.count} "
            "times"
        )
        if not row.skill > 0:
            return f"No skill: {said}"
        told = row.skill >= 2 * row.error
        return f"Skill: {said}" if told else f"Skill, but less than twice its error: {said}"


def _distance(gap: npt.ArrayLike) -> np.ndarray:
    """In which of the distances a gap is, from 0; one that is not known is in none."""
    return np.searchsorted(GAPS[1:], np.asarray(gap))


def distance_of(gap: float) -> str:
    """What a gap is counted among, such as "1 to 1.5 decades"."""
    return DISTANCES[int(_distance(gap))]


def gap_of(runs: Runs, by: str, points: Mapping[str, npt.ArrayLike]) -> np.ndarray:
    """The decades by which points lie beyond the largest of the runs, 0 among them, (points,).

    Raises:
        ValueError: a point lacks the covariate, or it is not positive there.
    """
    known = covariate(runs, by)[np.asarray(runs.weight) > 0].max()
    return np.maximum(np.log10(_at(points, by) / known), 0.0)


def _at(points: Mapping[str, npt.ArrayLike], by: str) -> np.ndarray:
    columns = complete(points)
    above, *below = by.split("/")
    for column in (above, *below):
        if column not in columns:
            raise ValueError(f"each point needs {column}, by which the back-test went")
    every = np.broadcast_arrays(*(np.atleast_1d(v) for v in columns.values()))
    columns = dict(zip(columns, every, strict=True))
    values = columns[above] / columns[below[0]] if below else columns[above]
    if not (np.isfinite(values) & (values > 0)).all():
        raise ValueError(f"{by} at a point is {values[~(values > 0)][:1]}; it is a positive number")
    return values


def measured(runs: Runs) -> np.ndarray:
    """The loss of each run, or its share of successes, (runs,)."""
    response = np.asarray(runs.response, float)
    return response if runs.kind == "loss" else response / np.asarray(runs.columns["trials"], float)
