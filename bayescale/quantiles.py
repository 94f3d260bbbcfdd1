"""Means and quantiles of replicates of one number, however many, and their own errors.

Replicates come in chunks, which are read again for each pass and never held together beyond `KEPT`: a billion
of them need no more memory than a few million. Every number comes with its Monte-Carlo error, the standard
deviation that it would have over other sets of as many replicates; the data stay the same.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

Chunks = Callable[[], Iterable[np.ndarray]]  # each call begins again from the first chunk; chunks (any,)

KEPT = 4_000_000  # values held at once, 32 MB; past that order statistics are found by counting
PIECE = 2**18  # what is worked on at a time stays in the cache, whatever the chunks are
DIGIT = 16  # bits that one pass of counting settles


class Number(NamedTuple):
    """A number and its Monte-Carlo standard error."""

    value: float
    error: float


@dataclass(frozen=True)
class Description:
    """How many replicates, how many of them infinite or not a number, their mean and standard deviation."""

    count: int
    nonfinite: int
    mean: Number
    sd: Number


def pieces(chunks: Chunks) -> Iterator[np.ndarray]:
    """The values of the chunks in order, (at most PIECE,) at a time; no piece is empty."""
    for chunk in chunks():
        values = np.asarray(chunk, float).ravel()
        for start in range(0, values.size, PIECE):
            yield values[start : start + PIECE]


def check_count(count: int, nans: int) -> None:
    """Refuse to go on without replicates, or with some that are not a number."""
    if count == 0:
        raise ValueError("there are no replicates; the chunks were empty")
    if nans:
        raise ValueError(
            f"{nans:,} of the {count:,} replicates are not a number, which has no place among the others; "
            "leave them out or put an infinity in their place, and say so"
        )


def _check_again(before: int, now: int) -> None:
    if before != now:
        raise ValueError(
            f"the chunks were not the same when they were read again: {before:,} values became {now:,}; "
            "each call must begin again from the first chunk and give the same values"
        )


def describe(chunks: Chunks) -> Description:
    """The mean and the standard deviation (ddof 1) of the replicates, in two passes.

    The error of the standard deviation s is sqrt((m4 - s^4) / (4 s^2 count)), with m4 the fourth central moment;
    it means little where the fourth moment is not finite. Where a replicate is not finite the mean is an
    infinity, or not a number, and the standard deviation and the errors are not a number.

    Raises:
        ValueError: there are no replicates, or the second pass gives others.
    """
    count, finite, total, low, high = 0, 0, 0.0, math.inf, -math.inf
    for values in pieces(chunks):
        count += values.size
        finite += int(np.isfinite(values).sum())
        with np.errstate(over="ignore", invalid="ignore"):
            total += float(values.sum())
        low, high = min(low, float(values.min())), max(high, float(values.max()))
    check_count(count, 0)
    mean, unknown = total / count, math.nan
    if not math.isfinite(mean):  # of finite values too, where their sum is beyond floating point
        return Description(count, count - finite, Number(mean, unknown), Number(unknown, unknown))
    if low == high:
        spread = unknown if count == 1 else 0.0
        return Description(count, 0, Number(low, spread), Number(spread, spread))
    unit = max(high - mean, mean - low)  # the largest deviation: in it no fourth power overflows, or vanishes
    if unit == math.inf:
        return Description(count, 0, Number(mean, unit), Number(unit, unknown))
    sums, again = np.zeros(4), 0
    for values in pieces(chunks):
        deviations = (values - mean) / unit
        squares = np.square(deviations)
        sums += [deviations.sum(), squares.sum(), squares @ deviations, squares @ squares]
        again += values.size
    _check_again(count, again)
    first, second, third, fourth = (sums / count).tolist()
    fourth += first * (
        -4 * third + 6 * first * second - 3 * first**3
    )  # first is what rounding left in the mean
    variance = max(second - first**2, 0.0) * count / (count - 1)
    of_variance = max(fourth - variance**2, 0.0) / count
    sd = unit * math.sqrt(variance)
    of_sd = unit * math.sqrt(of_variance / (4 * variance)) if variance else 0.0
    return Description(count, 0, Number(mean + unit * first, sd / math.sqrt(count)), Number(sd, of_sd))


def quantiles(chunks: Chunks, probabilities: Sequence[float], *, kept: int = KEPT) -> list[Number]:
    """The quantiles of the replicates at the probabilities, as `np.quantile` gives them, in at most 4 passes.

    Infinities have their place at the ends: a quantile between a number and an infinity is the infinity, and one
    between both infinities is not a number.

    The error is half the distance between the quantiles at p - s and p + s, s = sqrt(p (1 - p) / count). Where
    fewer than some five replicates lie beyond a quantile, they cannot tell how uncertain it is.

    At most `kept` values are held at once; what is held beside them does not grow with their number.

    Example:
        >>> quantiles(lambda: [np.arange(6.0), np.arange(6.0, 11.0)], [0.5])[0].value
        5.0

    Raises:
        ValueError: there are no replicates, some are not a number, a probability is none, or a second pass
            gives other replicates.
    """
    p = np.asarray(probabilities, float)
    if not ((p >= 0) & (p <= 1)).all():
        raise ValueError(f"the probabilities are {[*probabilities]}; a probability is from 0 to 1")
    return quantiles_at(chunks, p, p * (1 - p), kept)


def quantiles_at(chunks: Chunks, p: np.ndarray, variance: np.ndarray, kept: int) -> list[Number]:
    """The quantiles at `p`, whose errors on the scale of probability are sqrt(variance / count)."""
    count, held, tally = _survey(chunks, kept)
    at = np.clip(p[:, None] + np.sqrt(variance / count)[:, None] * [0, -1, 1], 0, 1)
    place = (count - 1) * at
    below = np.minimum(np.floor(place).astype(np.int64), count - 1)
    above = np.minimum(below + 1, count - 1)
    ranks = np.unique([below, above])
    if held is not None:
        held.partition(ranks)
        found = held[ranks]
    else:
        found = _select(chunks, ranks, tally, kept)
    values = dict(zip(ranks.tolist(), found.tolist(), strict=True))
    numbers = []
    for lows, highs, shares in zip(below.tolist(), above.tolist(), (place - below).tolist(), strict=True):
        value, low, high = (
            _between(values[i], values[j], share) for i, j, share in zip(lows, highs, shares, strict=True)
        )
        numbers.append(Number(value, 0.0 if low == high else (high - low) / 2))
    return numbers


def _between(low: float, high: float, share: float) -> float:
    """NumPy's interpolation, to the bit, where it is finite."""
    if low == high or share == 0:
        return low
    if not math.isfinite(high - low):
        return (1 - share) * low + share * high
    return high - (high - low) * (1 - share) if share >= 0.5 else low + (high - low) * share


def _survey(chunks: Chunks, kept: int) -> tuple[int, np.ndarray | None, np.ndarray]:
    """How many values there are, all of them if they are few enough, and how many begin with each digit."""
    count, nans, held = 0, 0, []
    tally = np.zeros((1, 2**DIGIT), np.int64)
    for values in pieces(chunks):
        count += values.size
        nans += int(np.isnan(values).sum())
        tally[0] += np.bincount(_digit(_image(values), 64 - DIGIT), minlength=2**DIGIT)
        if count <= kept:
            held.append(values.copy())  # whoever gives the chunks may write the next into the same array
        else:
            held.clear()
    check_count(count, nans)
    return count, np.concatenate(held) if held else None, tally


def _image(values: np.ndarray) -> np.ndarray:
    """Unsigned integers in the order of the values: the bits, turned over where the sign is set."""
    bits = values.view(np.int64)
    return (bits ^ ((bits >> 63) | np.int64(-(2**63)))).view(np.uint64)


def _value(image: np.ndarray) -> np.ndarray:
    return np.where(image >> 63 == 1, image ^ np.uint64(2**63), ~image).view(float)


def _digit(image: np.ndarray, shift: int) -> np.ndarray:
    return ((image >> shift) & (2**DIGIT - 1)).astype(np.int64)


def _select(chunks: Chunks, ranks: np.ndarray, tally: np.ndarray, kept: int) -> np.ndarray:
    """The order statistics of the ranks, counted from 0: digit by digit of their images, all at once.

    After a pass each rank knows the first digits of its image, how many values share them, and its rank among
    those; values are gathered as soon as those that are left are few enough.
    """
    prefix, rank = np.zeros(ranks.shape, np.uint64), ranks.copy()
    groups, sizes = np.zeros(1, np.uint64), tally.sum(axis=1)
    for shift in range(64 - DIGIT, -1, -DIGIT):
        if sizes.sum() <= kept:
            return _gather(chunks, prefix, rank, groups, sizes, shift + DIGIT)
        if shift < 64 - DIGIT:  # the first pass was the survey
            tally = _tally(chunks, groups, sizes, shift)
        row = np.searchsorted(groups, prefix)
        total = tally.cumsum(axis=1)
        digit = np.array([np.searchsorted(total[i], r, side="right") for i, r in zip(row, rank, strict=True)])
        rank -= total[row, digit] - tally[row, digit]
        prefix = (prefix << DIGIT) | digit.astype(np.uint64)
        groups, one = np.unique(prefix, return_index=True)
        sizes = tally[row, digit][one]
    return _value(prefix)


def _members(chunks: Chunks, groups: np.ndarray, shift: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Of each piece, the images that begin as one of the groups (sorted), and which group that is."""
    candidate = np.zeros(2**DIGIT, bool)  # a table is faster than a search, to which it leaves few
    candidate[_digit(groups << shift, 64 - DIGIT)] = True
    for values in pieces(chunks):
        image = _image(values)
        image = image[candidate[_digit(image, 64 - DIGIT)]]
        row = np.searchsorted(groups, image >> shift, side="right") - 1
        inside = (row >= 0) & (groups[row] == image >> shift)
        yield image[inside], row[inside]


def _tally(chunks: Chunks, groups: np.ndarray, sizes: np.ndarray, shift: int) -> np.ndarray:
    """How many values of each group have which digit next, (groups, 2^DIGIT)."""
    tally = np.zeros((len(groups), 2**DIGIT), np.int64)
    for image, row in _members(chunks, groups, shift + DIGIT):
        np.add.at(tally, (row, _digit(image, shift)), 1)
    for before, now in zip(sizes.tolist(), tally.sum(axis=1).tolist(), strict=True):
        _check_again(before, now)
    return tally


def _gather(
    chunks: Chunks, prefix: np.ndarray, rank: np.ndarray, groups: np.ndarray, sizes: np.ndarray, shift: int
) -> np.ndarray:
    images = np.concatenate([groups[:0], *(image for image, _ in _members(chunks, groups, shift))])
    _check_again(int(sizes.sum()), images.size)
    begin = np.cumsum(sizes) - sizes
    place = begin[np.searchsorted(groups, prefix)] + rank
    images.partition(np.unique(place))
    return _value(images[place])
