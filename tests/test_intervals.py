"""Intervals against SciPy and textbooks, and the errors of replicates against the spread of repeated sets."""

import numpy as np
import pytest
from scipy import stats

from bayescale.intervals import (
    acceleration,
    basic,
    bca,
    bca_below,
    percentile,
    share_below,
    studentised,
    studentised_below,
)
from bayescale.quantiles import KEPT, describe, quantiles

RNG = np.random.default_rng(1)


def chunks(values, number=7):
    """The values in some chunks, one of them empty, written into one array as a reader of files may do."""

    def give():
        parts = [values[:0], *np.array_split(values, number)]
        store = np.empty(max(part.size for part in parts))
        for part in parts:
            store[: part.size] = part
            yield store[: part.size]

    return give


DATA = RNG.gamma(2.0, size=(30, 2)) @ np.array([[1, 0.6], [0, 1]])


def correlation(x, y, axis=-1):
    x, y = x - x.mean(axis, keepdims=True), y - y.mean(axis, keepdims=True)
    return (x * y).sum(axis) / np.sqrt((x**2).sum(axis) * (y**2).sum(axis))


STATISTICS = {
    "mean": ((DATA[:, 0],), np.mean),
    "correlation": ((DATA[:, 0], DATA[:, 1]), correlation),
    "median": ((np.round(DATA[:, 0], 1),), np.median),  # many replicates are the estimate itself
}


@pytest.mark.parametrize("kept", [100, KEPT])
@pytest.mark.parametrize("level", [0.5, 0.9, 0.99])
@pytest.mark.parametrize("name", STATISTICS)
def test_intervals_are_those_of_scipy(name, level, kept):
    data, statistic = STATISTICS[name]
    estimate = float(statistic(*data, axis=-1))
    without = [[np.delete(x, i) for x in data] for i in range(30)]
    jackknife = np.array([statistic(*x, axis=-1) for x in without])
    drawn = stats.bootstrap(
        data, statistic, paired=True, n_resamples=2_999, rng=np.random.default_rng(3), method="percentile"
    )
    give = chunks(drawn.bootstrap_distribution)
    for method, found in {
        "percentile": percentile(give, level, kept=kept),
        "basic": basic(give, estimate, level, kept=kept),
        "BCa": bca(give, estimate, jackknife, level, kept=kept),
    }.items():
        expected = stats.bootstrap(
            data,
            statistic,
            paired=True,
            n_resamples=0,
            bootstrap_result=drawn,
            method=method,
            confidence_level=level,
        ).confidence_interval
        assert (found.kind, found.level, found.left_out) == (method, level, 0)
        assert [found.low.value, found.high.value] == pytest.approx([*expected], rel=1e-12)


def test_the_accelerated_interval_of_the_textbook():
    """The variance of the spatial test data of Efron and Tibshirani 1993, table 14.1, and their table 14.2.

    Their 2,000 replicates gave 90% intervals from 115.8 to 259.6 and, by percentiles, 100.8 to 233.9, with
    a = 0.061. The errors of those ends are 10 times ours, which are of 200,000; 4 of them are 6 in 100,000.
    """
    scores = [
        48,
        36,
        20,
        29,
        42,
        42,
        20,
        42,
        22,
        41,
        45,
        14,
        6,
        0,
        33,
        28,
        34,
        4,
        32,
        24,
        47,
        41,
        24,
        26,
        30,
        41,
    ]
    data = np.array(scores, float)
    jackknife = np.array([np.delete(data, i).var() for i in range(26)])
    assert data.var() == pytest.approx(171.5, abs=0.05)
    assert acceleration(jackknife) == pytest.approx(0.061, abs=0.0005)
    give = chunks(np.random.default_rng(0).choice(data, (200_000, 26)).var(axis=1))
    accelerated = bca(give, data.var(), jackknife, 0.9)
    percentiles = percentile(give, 0.9)
    for found, printed in [(accelerated, (115.8, 259.6)), (percentiles, (100.8, 233.9))]:
        for end, number in zip(found[:2], printed, strict=True):
            assert end.value == pytest.approx(number, abs=4 * np.sqrt(101) * end.error)


def test_the_studentised_interval_of_a_normal_mean():
    """Student's 10 differences in hours of sleep: R's t.test gives 0.7001142 to 2.4598858.

    Replicates whose ratio has Student's distribution give his interval. They are its quantiles at even steps of
    probability, so that only the step is left of the error: 1 / (2e5 density(t)) times the standard error 0.39.
    """
    hours = np.array([1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4])
    estimate, error = hours.mean(), hours.std(ddof=1) / np.sqrt(10)
    t = stats.t.ppf((np.arange(200_000) + 0.5) / 200_000, 9)
    errors = np.random.default_rng(0).uniform(0.2, 0.6, t.size)

    def pairs():
        yield from zip(np.array_split(estimate + t * errors, 3), np.array_split(errors, 3), strict=True)

    for kept in (1_000, KEPT):
        found = studentised(pairs, estimate, error, 0.95, kept=kept)
        assert [found.low.value, found.high.value] == pytest.approx([0.7001142, 2.4598858], abs=1e-4)


def test_replicates_without_an_error_are_left_out_and_counted():
    values, errors = RNG.normal(3, 1, 1_000), RNG.uniform(0.5, 2, 1_000)
    errors[[5, 6, 500, 501, 999]] = [0, np.nan, -1, np.inf, 0]
    values[10] = np.inf  # a replicate like any other
    usable = (errors > 0) & np.isfinite(errors)
    t = (values[usable] - 3.1) / errors[usable]
    for kept in (10, 10_000):
        found = studentised(
            lambda: [(values[:7], errors[:7]), (values[7:], errors[7:])], 3.1, 0.7, 0.9, kept=kept
        )
        assert found.left_out == 5
        expected = 3.1 - 0.7 * np.quantile(t, [0.95, 0.05])
        assert [found.low.value, found.high.value] == pytest.approx([*expected], rel=1e-12)
    assert found.kind == "studentised"


def test_intervals_reach_to_infinity():
    values = np.append(RNG.normal(size=900), np.full(100, np.inf))
    assert percentile(chunks(values), 0.9).high == (np.inf, 0)
    assert basic(chunks(values), 0.2, 0.9).low == (-np.inf, 0)
    assert bca(chunks(values), 0.2, np.arange(5.0) ** 2, 0.9).high == (np.inf, 0)


@pytest.mark.parametrize("level", [0.5, 0.8, 0.95])
def test_the_tail_of_an_end_is_that_of_its_interval(level):
    """A skewed sample, so that no two kinds agree; an end lies between two replicates, of 20,000."""
    rng = np.random.default_rng(1)
    values, errors, jackknife = rng.gamma(3, size=20_000), rng.uniform(0.5, 2, 20_000), rng.gamma(2, size=30)
    give, pairs = chunks(values), lambda: [(values, errors)]
    kinds = {
        "percentile": (percentile(give, level), lambda v: share_below(give, v)),
        "basic": (basic(give, 2.5, level), lambda v: 1 - share_below(give, 5 - v)),
        "bca": (bca(give, 2.5, jackknife, level), lambda v: bca_below(give, 2.5, jackknife, v)),
        "studentised": (
            studentised(pairs, 2.5, 0.7, level),
            lambda v: studentised_below(pairs, 2.5, 0.7, v),
        ),
    }
    for kind, (found, below) in kinds.items():
        ends = [below(end.value) for end in found[:2]]
        assert ends == pytest.approx([(1 - level) / 2, (1 + level) / 2], abs=2e-4), kind
        assert [below(values.min() - 50), below(values.max() + 50)] == [0, 1], kind


# Monte-Carlo errors.


SETS, SIZE = 2_000, 4_000
TRUTH = 2.3


def statements(values, errors):
    jackknife = np.random.default_rng(9).exponential(size=20) * -1
    found = describe(chunks(values, 1))
    yield from (found.mean, found.sd)
    yield from quantiles(chunks(values, 1), [0.1, 0.5])
    yield from percentile(chunks(values, 1), 0.9)[:2]
    yield from basic(chunks(values, 1), TRUTH, 0.9)[:2]
    yield from bca(chunks(values, 1), TRUTH, jackknife, 0.9)[:2]
    yield from studentised(lambda: [(values, errors)], TRUTH, 0.5, 0.9)[:2]


def test_errors_are_the_spread_of_repeated_sets():
    """Over 2,000 sets the spread is known to 1.6%, for these tails to 2%.

    The 12 errors must be right within 10%, 5 errors and more, for a false alarm in 1e5 seeds; that they are right
    to first order in 1 / sqrt(4,000) leaves them a few per cent off.
    """
    rng = np.random.default_rng(4)
    sets = []
    for _ in range(SETS):
        values = rng.gamma(3, size=SIZE)
        sets.append([*statements(values, np.sqrt(0.1 + values / 9))])
    sets = np.array(sets)  # (sets, statements, 2)
    ratio = np.sqrt(np.square(sets[..., 1]).mean(axis=0)) / sets[..., 0].std(axis=0, ddof=1)
    np.testing.assert_allclose(ratio, 1, atol=0.1)


# What is refused.


def refused(call, *arguments, **options):
    with pytest.raises(ValueError) as raised:  # noqa: PT011
        call(*arguments, **options)
    return str(raised.value)


SOME = chunks(np.arange(100.0))
JACKKNIFE = np.array([1.0, 2.0, 4.0])


@pytest.mark.parametrize("values", [[], [np.zeros(0)]])
def test_no_replicates(values):
    for call, *arguments in [(percentile, 0.9), (bca, 1.0, JACKKNIFE, 0.9)]:
        said = refused(call, lambda: values, *arguments)
        assert said == "there are no replicates; the chunks were empty"


@pytest.mark.parametrize("kept", [1, 1_000])
def test_replicates_that_are_not_a_number(kept):
    values = np.where(np.arange(2_000) % 500 == 1, np.nan, np.arange(2_000.0))
    assert refused(bca, chunks(values), 1.0, JACKKNIFE, 0.9, kept=kept) == (
        "4 of the 2,000 replicates are not a number, which has no place among the others; "
        "leave them out or put an infinity in their place, and say so"
    )


def test_levels():
    for level in (0, 1, 95, float("nan")):
        for call, *arguments in [
            (percentile,),
            (basic, 1.0),
            (bca, 1.0, JACKKNIFE),
            (studentised, 1.0, 1.0),
        ]:
            said = refused(call, SOME, *arguments, level)
            assert said == f"the level is {level}; it is between 0 and 1, as 0.95"


def test_estimates_that_are_not_finite():
    for call, kind, *arguments in [
        (basic, "basic"),
        (bca, "BCa", JACKKNIFE),
        (studentised, "studentised", 1.0),
    ]:
        assert refused(call, SOME, np.inf, *arguments, 0.9) == (
            f"the estimate is inf; a {kind} interval needs a finite one, a percentile interval none"
        )
    for error in (0.0, -1.0, np.nan, np.inf):
        said = refused(studentised, SOME, 1.0, error, 0.9)
        assert said == f"the standard error of the estimate is {error}; it must be positive and finite"


def test_jackknives_that_tell_nothing():
    for jackknife, said in [
        ([1.0], "the jackknife estimates are 1 in number; 2 or more are needed, one without each unit"),
        (
            [1.0, np.inf, np.nan],
            "2 of the 3 jackknife estimates are not finite, so that the acceleration is unknown; "
            "take a percentile interval",
        ),
        (
            [0.1, 0.1, 0.1],
            "all 3 jackknife estimates are 0.1, so that the acceleration is unknown; take a percentile interval",
        ),
    ]:
        assert refused(bca, SOME, 50.0, np.array(jackknife), 0.9) == said


def test_estimates_beyond_their_replicates():
    for estimate, where in [(-1.0, "above"), (100.0, "below")]:
        assert refused(bca, SOME, estimate, JACKKNIFE, 0.9) == (
            f"all 100 replicates are {where} the estimate {estimate:.6g}, so that the correction for bias is infinite; "
            "draw more replicates, or ask why they miss the estimate"
        )
    assert bca(SOME, 0.0, JACKKNIFE, 0.5).low.value >= 0  # a tie is enough


def test_an_acceleration_too_strong():
    said = refused(bca, SOME, 98.9, np.array([*np.zeros(20), 1.0]) * -1, 0.999999)
    assert said == (
        "the acceleration 0.155 and the correction for bias 2.33 are too strong for an interval of level 0.999999; "
        "take a lower level or a percentile interval"
    )


def test_errors_of_replicates():
    said = refused(studentised, lambda: [(np.zeros(3), np.ones(2))], 1.0, 1.0, 0.9)
    assert said == "a chunk has 3 values and 2 errors; each value needs its own"
    said = refused(studentised, lambda: [(np.zeros(3), np.zeros(3))], 1.0, 1.0, 0.9)
    assert said == (
        "none of the 3 replicates has a standard error that is positive and finite; "
        "without them take another kind of interval"
    )
    assert refused(studentised, lambda: [], 1.0, 1.0, 0.9) == "there are no replicates; the chunks were empty"
