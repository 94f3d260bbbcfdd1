"""Statistics of replicates against NumPy, and what memory and how many passes they take."""

import tracemalloc

import numpy as np
import pytest
from scipy import stats

from bayescale.quantiles import KEPT, Description, Number, describe, quantiles

RNG = np.random.default_rng(1)
HUGE = np.finfo(float).max
REPLICATES = {
    "normal": RNG.normal(size=20_001),
    "heavy": RNG.standard_cauchy(20_000),
    "wide": np.exp(RNG.normal(0, 150, 5_000)) * RNG.choice([-1, 1], 5_000),
    "ties": np.round(RNG.normal(size=5_000), 1),
    "two values": RNG.choice([1.5, np.nextafter(1.5, 2)], 5_000),
    "all the same": np.full(3_000, -0.1),
    "zeros of both signs": RNG.choice([-0.0, 0.0, 5e-324], 3_000),
    "denormal": RNG.normal(size=5_000) * 5e-320,
    "close": 2.5 + 1e-13 * RNG.normal(size=5_000),
    "negative": -RNG.exponential(size=5_000),
    "one": np.array([3.25]),
    "two": np.array([3.25, -1.0]),
    "three": np.array([3.25, -1.0, 7.0]),
}
PROBABILITIES = [0, 1e-4, 0.025, 0.05, 0.31, 0.5, 0.9, 0.975, 1]


def chunks(values, number=7):
    """The values in some chunks, one of them empty, written into one array as a reader of files may do."""

    def give():
        parts = [values[:0], *np.array_split(values, number)]
        store = np.empty(max(part.size for part in parts))
        for part in parts:
            store[: part.size] = part
            yield store[: part.size]

    return give


def values_of(numbers):
    return [number.value for number in numbers]


# Quantiles.


@pytest.mark.parametrize("kept", [0, 1, 60, 1_000, KEPT])
@pytest.mark.parametrize("name", REPLICATES)
def test_quantiles_are_those_of_numpy(name, kept):
    values = REPLICATES[name]
    expected = np.quantile(values, PROBABILITIES).tolist()
    assert values_of(quantiles(chunks(values), PROBABILITIES, kept=kept)) == expected


def test_nothing_is_read_more_often_than_it_must_be():
    """Once where all is kept, twice where one digit is enough, 4 times where ties leave only counting."""
    reads = []

    def counted(values):
        reads.clear()

        def give():
            reads.append(1)
            yield values

        return give

    for values, kept, passes in [
        (REPLICATES["normal"], 20_001, 1),
        (REPLICATES["normal"], 20_000, 2),
        (REPLICATES["all the same"], 2_999, 4),
        (REPLICATES["close"], 10, 4),
    ]:
        quantiles(counted(values), [0.025], kept=kept)
        assert len(reads) == passes


@pytest.mark.parametrize("kept", [0, 5, 1_000])
def test_infinities_have_their_place(kept):
    values = RNG.permutation(np.concatenate([[-np.inf], RNG.normal(size=97), [np.inf] * 3]))
    ordered = np.sort(values)
    found = quantiles(chunks(values), [0, 0.005, 0.01, 0.5, 0.97, 0.975, 0.98, 0.985, 1], kept=kept)
    # In a hundred steps: between the first and the second value lies an infinity.
    expected = [-np.inf, -np.inf, ordered[1], ordered[50], ordered[97], np.inf, np.inf, np.inf, np.inf]
    assert values_of(found) == expected
    assert found[4].error == np.inf
    assert found[-1] == Number(np.inf, 0)


def test_a_quantile_between_both_infinities_or_beyond_the_range_of_their_difference():
    found = quantiles(chunks(np.array([-np.inf, np.inf])), [0.5])
    assert np.isnan(found[0].value)
    found = quantiles(chunks(np.array([-HUGE, HUGE])), [0.25])
    assert found[0].value == pytest.approx(-HUGE / 2)


def test_the_error_of_a_quantile_is_half_the_distance_of_its_neighbours():
    values = np.arange(10_001.0)
    # s = sqrt(0.5 * 0.5 / 10001), and a distance of s in probability is 10,000 s in these values.
    assert quantiles(chunks(values), [0.5])[0].error == pytest.approx(1e4 * np.sqrt(0.25 / 10_001))
    assert quantiles(chunks(values), [0.0])[0].error == 0
    assert quantiles(chunks(np.ones(50)), [0.5])[0] == (1, 0)


def test_memory_does_not_grow_with_the_replicates():
    def give():
        for seed in range(20):
            yield np.random.default_rng(seed).normal(size=1_000_000)  # 8 MB; all together 160 MB

    tracemalloc.start()
    try:
        low, high = quantiles(give, [0.025, 0.975])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 100e6  # twice KEPT, a chunk and its parts
    # 20 million normal numbers: the error is sqrt(0.025 * 0.975 / 2e7) / density(1.96); 6 errors are 2 in 1e9.
    error = np.sqrt(0.025 * 0.975 / 2e7) / stats.norm.pdf(1.96)
    assert [low.value, high.value] == pytest.approx(
        [-stats.norm.ppf(0.975), stats.norm.ppf(0.975)], abs=6 * error
    )
    assert [low.error, high.error] == pytest.approx([error, error], rel=0.1)


# Mean and standard deviation.


@pytest.mark.parametrize("name", sorted(set(REPLICATES) - {"one", "all the same"}))
def test_description(name):
    values = REPLICATES[name]
    # NumPy's squares of the extreme ones would vanish or overflow, and its means of close ones lose digits.
    scale = np.abs(values).max() if name in ("denormal", "wide", "zeros of both signs") else 1.0
    centre = values[0] if name in ("close", "two values") else 0.0
    unit = (values - centre) / scale
    mean, sd, count = unit.mean(), unit.std(ddof=1), values.size
    fourth = ((unit - mean) ** 4).mean()
    found = describe(chunks(values))
    assert (found.count, found.nonfinite) == (count, 0)
    # Denormal numbers have 4 digits here, fewer in their errors, or none.
    rel = {"denormal": 1e-2, "zeros of both signs": 1}.get(name, 1e-11)
    assert found.mean.value / scale == pytest.approx(centre + mean, rel=1e-12, abs=rel * sd)
    assert found.sd.value / scale == pytest.approx(sd, rel=rel)
    assert found.mean.error / scale == pytest.approx(sd / np.sqrt(count), rel=rel)
    expected = np.sqrt(max(fourth - sd**4, 0) / (4 * sd**2 * count))
    assert found.sd.error / scale == pytest.approx(expected, rel=2 * rel, abs=1e-8 * sd)


def test_a_large_mean_costs_no_digits():
    values = 1e9 + np.arange(10_000.0)
    found = describe(chunks(values))
    assert found.sd.value == pytest.approx(np.arange(10_000.0).std(ddof=1), rel=1e-13)
    assert describe(chunks(1e200 * REPLICATES["normal"])).sd.error == pytest.approx(
        1e200 * describe(chunks(REPLICATES["normal"])).sd.error, rel=1e-12
    )


def test_description_of_what_is_not_finite():
    found = describe(chunks(np.array([1.0, np.inf, 2.0])))
    assert (found.count, found.nonfinite, found.mean.value) == (3, 1, np.inf)
    assert np.isnan([found.mean.error, *found.sd]).all()
    found = describe(chunks(np.array([1.0, np.inf, -np.inf, np.nan])))
    assert found.nonfinite == 3
    assert np.isnan([*found.mean, *found.sd]).all()
    found = describe(chunks(np.array([HUGE, HUGE])))  # whose sum is not a number of floating point
    assert (found.nonfinite, found.mean.value) == (0, np.inf)
    found = describe(chunks(np.array([HUGE, -HUGE, HUGE])))
    assert (found.nonfinite, found.sd.value) == (0, np.inf)


def test_description_of_one_replicate_and_of_equal_ones():
    found = describe(chunks(np.array([0.1])))
    assert found.mean.value == 0.1
    assert np.isnan([found.mean.error, *found.sd]).all()
    assert describe(chunks(np.full(1000, 0.1))) == Description(1000, 0, Number(0.1, 0), Number(0, 0))


# What is refused.


def refused(call, *arguments, **options):
    with pytest.raises(ValueError) as raised:  # noqa: PT011
        call(*arguments, **options)
    return str(raised.value)


@pytest.mark.parametrize("values", [[], [np.zeros(0)]])
def test_no_replicates(values):
    for call, *arguments in [(describe,), (quantiles, [0.5])]:
        said = refused(call, lambda: values, *arguments)
        assert said == "there are no replicates; the chunks were empty"


@pytest.mark.parametrize("kept", [1, 1_000])
def test_replicates_that_are_not_a_number(kept):
    values = np.where(np.arange(2_000) % 500 == 1, np.nan, np.arange(2_000.0))
    assert refused(quantiles, chunks(values), [0.5], kept=kept) == (
        "4 of the 2,000 replicates are not a number, which has no place among the others; "
        "leave them out or put an infinity in their place, and say so"
    )


def test_chunks_that_cannot_be_read_again():
    def said(before, now):
        return (
            f"the chunks were not the same when they were read again: {before} values became {now}; "
            "each call must begin again from the first chunk and give the same values"
        )

    once = iter([np.arange(2_000.0)])
    assert refused(describe, lambda: once) == said("2,000", "0")
    once = iter([np.zeros(2_000)])
    assert refused(quantiles, lambda: once, [0.5], kept=1_000) == said("2,000", "0")
    once = iter([np.linspace(1, 1.9, 2_000)])  # so spread that a digit is enough
    assert refused(quantiles, lambda: once, [0.5], kept=1_000) == said("139", "0")


def test_probabilities():
    for bad in (-0.1, 1.1, float("nan")):
        said = refused(quantiles, chunks(np.arange(100.0)), [0.5, bad])
        assert said == f"the probabilities are [0.5, {bad}]; a probability is from 0 to 1"
