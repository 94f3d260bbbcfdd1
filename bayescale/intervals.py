"""Intervals from bootstrap replicates of one number, however many, and the Monte-Carlo errors of their ends.

Replicates come in chunks, as `bayescale.quantiles` reads them; `kept` is the most values held at once.

Source:
    Efron and Tibshirani 1993, An Introduction to the Bootstrap, chapters 12 to 14.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from bayescale.quantiles import KEPT, Chunks, Number, check_count, pieces, quantiles, quantiles_at

Pairs = Callable[[], Iterable[tuple[np.ndarray, np.ndarray]]]  # as Chunks, of values and their errors

_NORMAL = NormalDist()


class Interval(NamedTuple):
    """The ends of an interval, its level, its kind, and how many replicates could not be used for it."""

    low: Number
    high: Number
    level: float
    kind: str
    left_out: int = 0


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise ValueError(f"the level is {level}; it is between 0 and 1, as 0.95")


def _check_estimate(estimate: float, kind: str) -> None:
    if not math.isfinite(estimate):
        raise ValueError(
            f"the estimate is {estimate}; a {kind} interval needs a finite one, a percentile interval none"
        )


def percentile(chunks: Chunks, level: float, *, kept: int = KEPT) -> Interval:
    """The quantiles of the replicates at (1 - level) / 2 and 1 - (1 - level) / 2."""
    _check_level(level)
    tail = (1 - level) / 2
    low, high = quantiles(chunks, [tail, 1 - tail], kept=kept)
    return Interval(low, high, level, "percentile")


def basic(chunks: Chunks, estimate: float, level: float, *, kept: int = KEPT) -> Interval:
    """The percentile interval turned round at the estimate: from 2 estimate - high to 2 estimate - low."""
    _check_estimate(estimate, "basic")
    low, high, *_ = percentile(chunks, level, kept=kept)
    low, high = (Number(2 * estimate - end.value, end.error) for end in (high, low))
    return Interval(low, high, level, "basic")


def acceleration(jackknife: np.ndarray) -> float:
    """A sixth of the skewness of the jackknife's influences, sum u^3 / (6 (sum u^2)^(3/2)), u = mean - estimate.

    Args:
        jackknife: the estimates without each unit of what is resampled, a run or a cluster of runs, (units,).

    Raises:
        ValueError: the estimates are fewer than 2, not all finite, or all the same.
    """
    estimates = np.asarray(jackknife, float).ravel()
    if estimates.size < 2:
        raise ValueError(
            f"the jackknife estimates are {estimates.size} in number; 2 or more are needed, one without each unit"
        )
    if not (finite := np.isfinite(estimates)).all():
        raise ValueError(
            f"{(~finite).sum()} of the {finite.size} jackknife estimates are not finite, so that the "
            "acceleration is unknown; take a percentile interval"
        )
    if estimates.min() == estimates.max():
        raise ValueError(
            f"all {estimates.size} jackknife estimates are {estimates[0]:.6g}, so that the acceleration is "
            "unknown; take a percentile interval"
        )
    influence = estimates.mean() - estimates
    influence /= np.abs(influence).max()
    return float((influence**3).sum() / (6 * (influence**2).sum() ** 1.5))


def bca(
    chunks: Chunks, estimate: float, jackknife: np.ndarray, level: float, *, kept: int = KEPT
) -> Interval:
    """The bias-corrected and accelerated interval: quantiles at Phi(z0 + (z0 + z) / (1 - a (z0 + z))).

    z0 is the normal quantile of the share of replicates below the estimate, ties counting half; a is the
    acceleration, from jackknife (units,); z is the normal quantile of either tail. The errors are those of the
    quantiles and of z0.

    Raises:
        ValueError: the estimate is at or beyond the end of the replicates, so that z0 is infinite; the
            acceleration is unknown, or too strong for the level; and as for `quantiles`.

    Source:
        Efron 1987, doi:10.1080/01621459.1987.10478410; Efron and Tibshirani 1993, equations 14.9 to 14.15.
    """
    _check_level(level)
    _check_estimate(estimate, "BCa")
    a = acceleration(jackknife)
    count, nans, below, ties = 0, 0, 0, 0
    for values in pieces(chunks):
        count += values.size
        nans += int(np.isnan(values).sum())
        below += int((values < estimate).sum())
        ties += int((values == estimate).sum())
    check_count(count, nans)
    share = (below + ties / 2) / count
    if share in (0, 1):
        raise ValueError(
            f"all {count:,} replicates are {'above' if share == 0 else 'below'} the estimate {estimate:.6g}, so that "
            "the correction for bias is infinite; draw more replicates, or ask why they miss the estimate"
        )
    z0 = _NORMAL.inv_cdf(share)
    p, variance = [], []
    for z in (_NORMAL.inv_cdf((1 - level) / 2), -_NORMAL.inv_cdf((1 - level) / 2)):
        stretch = 1 - a * (z0 + z)
        if stretch <= 0:
            raise ValueError(
                f"the acceleration {a:.3g} and the correction for bias {z0:.3g} are too strong for an interval of "
                f"level {level}; take a lower level or a percentile interval"
            )
        point = z0 + (z0 + z) / stretch
        p.append(_NORMAL.cdf(point))
        # By the delta method on the empirical distribution: the end moves with the count below it and, through
        # z0, with the count below the estimate; the covariance of the two is min(p, q) - p q.
        slope = _NORMAL.pdf(point) * (1 + 1 / stretch**2) / _NORMAL.pdf(z0)
        of_share = (below + ties / 4) / count - share**2
        shared = min(p[-1], share) - p[-1] * share
        variance.append(max(p[-1] * (1 - p[-1]) + slope**2 * of_share - 2 * slope * shared, 0.0))
    low, high = quantiles_at(chunks, np.array(p), np.array(variance), kept)
    return Interval(low, high, level, "BCa")


def share_below(chunks: Chunks, value: float) -> float:
    """The share of replicates below a value, ties counting half.

    Raises:
        ValueError: there are no replicates, or some are not a number.
    """
    count, nans, below = 0, 0, 0.0
    for values in pieces(chunks):
        count += values.size
        nans += int(np.isnan(values).sum())
        below += float((values < value).sum() + (values == value).sum() / 2)
    check_count(count, nans)
    return below / count


def bca_below(chunks: Chunks, estimate: float, jackknife: np.ndarray, value: float) -> float:
    """The tail whose end of `bca` intervals a value is: .05 at the lower end of the interval of 90%, .95 at the upper.

    Raises:
        ValueError: the acceleration is unknown, and as for `share_below`.
    """
    a = acceleration(jackknife)
    share, middle = share_below(chunks, value), share_below(chunks, estimate)
    if share in (0, 1) or middle in (0, 1):
        return share
    z0 = _NORMAL.inv_cdf(middle)
    beyond = _NORMAL.inv_cdf(share) - z0
    stretch = 1 + a * beyond
    return _NORMAL.cdf(beyond / stretch - z0) if stretch > 0 else float(beyond > 0)


def studentised(chunks: Pairs, estimate: float, error: float, level: float, *, kept: int = KEPT) -> Interval:
    """The bootstrap-t interval: estimate - t error, t the quantiles of (value - estimate) / its own error.

    The chunks are pairs of values and their standard errors, each (any,); `error`, that of the estimate, must
    have been found as those were. Replicates whose error is not positive and finite are left out, and the
    interval says how many.

    Raises:
        ValueError: no replicate has an error to divide by; values and errors differ in number; the estimate is
            not finite or its error not positive; and as for `quantiles`.

    Source:
        Efron and Tibshirani 1993, section 12.5; Hall 1988, doi:10.1214/aos/1176350933.
    """
    _check_level(level)
    _check_estimate(estimate, "studentised")
    if not 0 < error < math.inf:
        raise ValueError(f"the standard error of the estimate is {error}; it must be positive and finite")
    left_out = 0

    def ratios() -> Iterator[np.ndarray]:
        nonlocal left_out
        used, left_out = 0, 0  # anew in each pass
        for values, errors in chunks():
            ratio = _ratios(values, errors, estimate)
            used += ratio.size
            left_out += np.size(values) - ratio.size
            yield ratio
        if left_out and not used:
            raise ValueError(
                f"none of the {left_out:,} replicates has a standard error that is positive and finite; "
                "without them take another kind of interval"
            )

    low, high, *_ = percentile(ratios, level, kept=kept)
    low, high = (Number(estimate - t.value * error, t.error * error) for t in (high, low))
    return Interval(low, high, level, "studentised", left_out)


def studentised_below(chunks: Pairs, estimate: float, error: float, value: float) -> float:
    """The tail whose end of `studentised` intervals a value is, as `bca_below`.

    Raises:
        ValueError: no replicate has an error to divide by, and as for `studentised`.
    """
    return 1 - share_below(
        lambda: (_ratios(*pair, estimate) for pair in chunks()), (estimate - value) / error
    )


def _ratios(values: np.ndarray, errors: np.ndarray, estimate: float) -> np.ndarray:
    """(value - estimate) / its own error, of those whose error is positive and finite."""
    values, errors = np.asarray(values, float).ravel(), np.asarray(errors, float).ravel()
    if values.size != errors.size:
        raise ValueError(
            f"a chunk has {values.size:,} values and {errors.size:,} errors; each value needs its own"
        )
    usable = (errors > 0) & (errors < np.inf)
    with np.errstate(over="ignore"):
        return (values[usable] - estimate) / errors[usable]
