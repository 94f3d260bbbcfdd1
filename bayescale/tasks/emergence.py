"""Emergence: whether a jump in a score is one of the models, or of the metric alone."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import binom

from bayescale.tasks.breaks import Line, line, log_bayes_factors

BREAK, NONE = 5.0, -2.0  # nats: above, a metric breaks; below, for both kinds of break, it does not
ONSET = 0.05  # above chance, a score is seen
COVERED, MISSED = 0.1, 0.01  # two-sided: inside the 90% interval; what one forecast in a hundred does by luck
FEWEST = 4  # models before the onset, for a forecast; and models at all, for a break
QUADRATURE = 48  # nodes over the noise of a forecast
Link = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Metric:
    """What one metric of the ladder says: nats for a kink, and for a jump, against a line in log compute."""

    name: str
    kink: float
    jump: float

    @property
    def breaks(self) -> bool | None:
        """Whether it breaks; None where it is not told."""
        if max(self.kink, self.jump) > BREAK:
            return True
        return False if max(self.kink, self.jump) < NONE else None


@dataclass(frozen=True, eq=False)
class Emergence:
    """Whether the onset of a score is an artefact of its metric.

    Attributes:
        verdict: "artefact", "real jump", "undecided" or "not yet".
        why: the reason, in a sentence.
        ladder: the metrics, the finest first.
        before: which models are before the onset, (models,).
        forecast: of the score of each model after the onset, from the finest metric of those before it: 5%, 50% and
            95%, (3, after); none where there are too few before it.
        tail: the two-sided probability of a score as far from its forecast as the one measured, (after,).
    """

    verdict: str
    why: str
    ladder: tuple[Metric, ...]
    before: np.ndarray
    forecast: np.ndarray
    tail: np.ndarray

    @property
    def covered(self) -> np.ndarray:
        """Which of the models after the onset have a score inside the 90% interval of their forecast, (after,)."""
        return self.tail > COVERED


def exact_match(tokens: float) -> Link:
    """The link from the nats for each token to the chance that all `tokens` tokens of an answer are right."""
    return lambda nll: np.exp(-tokens * np.asarray(nll))


def emergence(
    compute: npt.ArrayLike,
    metrics: Mapping[str, npt.ArrayLike],
    successes: npt.ArrayLike,
    trials: npt.ArrayLike,
    link: Link,
    *,
    chance: float = 0.0,
) -> Emergence:
    """Whether the onset of a sharp score is there in finer metrics of the same answers.

    It is an artefact where the finest metric has no break by evidence, and its line through the models before the
    onset, pushed through the link, forecasts the score of those after it. It is real where every metric breaks, or
    where such forecasts miss. Where no score is above chance it is not yet to be told.

    Args:
        compute: FLOP of each model, (models,).
        metrics: name -> positive numbers that fall with compute along a line in logarithms, such as the nats for each
            token of the right answer or the Brier score, (models,); the finest first.
        successes: the sharp score of each model: right answers, (models,).
        trials: out of how many, (models,) or one number.
        link: from the finest metric to the success that it makes; see `exact_match`.
        chance: the success of guessing.

    Raises:
        ValueError: there are fewer than four models, no metric, or a number that cannot be.
    """
    x = np.asarray(compute, float)
    if x.ndim != 1 or len(x) < FEWEST:
        raise ValueError(f"compute is {x.shape}; it is (models,), of {FEWEST} models at least")
    score, tried = (np.asarray(np.broadcast_to(v, x.shape), float) for v in (successes, trials))
    _check(x, metrics, score, tried)
    order = np.argsort(x, kind="stable")
    x, score, tried = np.log10(x[order]), score[order], tried[order]
    logs = {name: np.log(np.asarray(values, float)[order]) for name, values in metrics.items()}
    middle = x.mean()
    ladder = tuple(Metric(name, *log_bayes_factors(x - middle, y)) for name, y in logs.items())

    seen = score / tried > chance + ONSET
    before = np.cumsum(seen) == 0  # the models up to the first whose score is seen
    finest = next(iter(logs.values()))
    forecast, tail = np.zeros((3, 0)), np.zeros(0)
    if before.sum() >= FEWEST and not before.all():
        known = line(x[before] - middle, finest[before])
        after = ~before
        forecast, tail = _forecast(known, x[after] - middle, score[after], tried[after], link)
    verdict, why = _verdict(ladder, before, tail)
    back = np.empty_like(before)
    back[order] = before
    return Emergence(verdict, why, ladder, back, forecast, tail)


def early_warning(slope: float, attempts: float) -> float:
    """The decades of compute by which counts show an onset before 5% does, ln(0.05 attempts) / slope.

    Args:
        slope: of the log success where it is small, in e-folds for each decade.
        attempts: at all problems together, so that one success among them can be seen.

    >>> round(early_warning(1.5, 128 * 10_000), 1)
    7.4
    """
    return math.log(ONSET * attempts) / slope


def _check(x: np.ndarray, metrics: Mapping[str, npt.ArrayLike], score: np.ndarray, tried: np.ndarray) -> None:
    if not metrics:
        raise ValueError(
            "metrics is empty; give the finest there is, such as the nats for each token of the answer"
        )
    for name, values in {"compute": x, **metrics}.items():
        found = np.asarray(values, float)
        if found.shape != x.shape or not (np.isfinite(found) & (found > 0)).all():
            raise ValueError(
                f"{name} is {found.shape}, least {found.min():g}; it is ({len(x)},) positive numbers"
            )
    if not ((tried >= 1) & (score >= 0) & (score <= tried)).all():
        raise ValueError("successes are from 0 to the trials, of which there is one at least")
    if not np.ptp(x) > 0:
        raise ValueError("every model has the same compute, along which nothing can emerge")


def _forecast(
    known: Line, x: np.ndarray, score: np.ndarray, tried: np.ndarray, link: Link
) -> tuple[np.ndarray, np.ndarray]:
    """5%, 50% and 95% of the scores at x, and how far out in their forecasts the scores measured are."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(QUADRATURE)
    mean, scale = known.at(x)
    metric = np.exp(mean[..., None] + scale[..., None] * nodes)  # (noise, after, nodes)
    success = np.clip(link(metric), 0.0, 1.0)
    weight = known.weight[:, None] * (weights / weights.sum())

    def below(count: np.ndarray) -> np.ndarray:
        """The probability of at most so many successes, (after,)."""
        return np.einsum("nq,naq->a", weight, binom.cdf(count[:, None], tried[:, None], success))

    tail = 2 * np.minimum(below(score), 1 - below(score - 1))
    found = np.empty((3, len(x)))
    for row, wanted in enumerate((0.05, 0.5, 0.95)):
        low, high = np.full(len(x), -1.0), tried.copy()
        while (high - low > 1).any():  # the least count that is not exceeded so often
            half = np.floor((low + high) / 2)
            enough = below(half) >= wanted
            high, low = np.where(enough, half, high), np.where(enough, low, half)
        found[row] = high / tried
    return found, np.minimum(tail, 1.0)


def _verdict(ladder: tuple[Metric, ...], before: np.ndarray, tail: np.ndarray) -> tuple[str, str]:
    finest = ladder[0]
    said = f"{finest.name} has {finest.kink:+.1f} nats for a kink and {finest.jump:+.1f} for a jump"
    if before.all():
        return "not yet", f"no score is more than {ONSET:.0%} above chance; {said}"
    if all(metric.breaks for metric in ladder):
        return "real jump", f"every metric breaks: {said}"
    last = float(tail[-1]) if len(tail) else math.nan
    if last < MISSED:
        return (
            "real jump",
            f"the models before the onset miss the score of the largest (probability {last:.1g}); {said}",
        )
    if finest.breaks is False and last > COVERED:
        return "artefact", f"the models before the onset forecast the score of the largest, and {said}"
    if not len(tail):
        return "undecided", f"fewer than {FEWEST} models are before the onset; {said}"
    return "undecided", f"the largest model has a forecast of probability {last:.2g}, and {said}"
