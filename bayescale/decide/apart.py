"""One question to several fits of the same runs: whether the data leave the answer to the model."""

import itertools
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from bayescale.check.findings import Finding
from bayescale.decide import allocate, invert
from bayescale.decide.better import CLOSE, left_out
from bayescale.decide.decision import Decision, mean, number
from bayescale.decide.surface import Surface

LEVEL = 0.9  # of the intervals that have to overlap
MATERIAL = 0.1  # of the compute: as much as a split wastes whose N is off by a factor of 1.7 to 2

Acting = Callable[[Surface, Decision, Mapping[str, float | str]], np.ndarray]
# Of each question the quantity that is asked about, and what acting on the choice of another fit wastes.
ABOUT: dict[str, tuple[str, Acting | None]] = {
    "compute_optimal": ("N", allocate.regret_under),
    "data_limited_optimal": ("N", allocate.regret_under),
    "inference_optimal": ("N", None),
    "compute_for": ("C", invert.regret_under),
    "data_for": ("D", invert.regret_under),
    "params_for": ("N", invert.regret_under),
}


class Asked(NamedTuple):
    """A fit at its levels, and what it has answered."""

    surface: Surface
    answer: Decision


def apart(asked: Mapping[str, Asked], *, elpd: Mapping[str, float] | None = None) -> tuple[Finding, ...]:
    """MODELSENS, where fits that predict the same runs about as well answer one question apart.

    Two answers are apart where their 90% intervals do not overlap, or where acting on the choice of the one wastes a
    tenth of the compute more, by the other, than its own choice does.

    Args:
        asked: name -> fit and answer, all to one question. Fits of one draw, which have no intervals, are passed over,
            and so are those of runs that no other fit has.
        elpd: name -> the expected log predictive density, in nats; by default it is found where answers are apart. A
            fit more than 4 behind the best is no rival.

    Returns:
        Of the fits of one table the pair that is farthest apart: severe where acting on the wrong one is dear, a
        warning where only the intervals are apart, and a note where it is fits far behind that say otherwise.
    """
    tables: dict[str, dict[str, Asked]] = {}
    for name, one in asked.items():
        if len(one.answer) > 1 and one.answer.question in ABOUT:
            tables.setdefault(one.surface.fit.runs.measured, {})[name] = one
    found = (_of_table(same, elpd) for same in tables.values() if len(same) > 1)
    return tuple(finding for finding in found if finding)


class _Pair(NamedTuple):
    names: tuple[str, str]
    decades: float  # between the medians, of answers whose intervals do not overlap; 0 of others
    extra: float  # what the worse of the two choices wastes more by the other fit
    said: str


def _of_table(asked: Mapping[str, Asked], elpd: Mapping[str, float] | None) -> Finding | None:
    pairs = [_pair(asked, a, b) for a, b in itertools.combinations(asked, 2)]
    pairs = [pair for pair in pairs if pair.decades > 0 or pair.extra > MATERIAL]
    if not pairs:
        return None
    known = left_out({name: one.surface for name, one in asked.items()}) if elpd is None else elpd
    best = max((known[name] for name in asked if np.isfinite(known[name])), default=0.0)
    # Where nothing is known of how a fit predicts, nothing speaks against it.
    behind = {name: float(np.nan_to_num(best - known[name])) for name in asked}
    close = [pair for pair in pairs if all(behind[name] <= CLOSE for name in pair.names)]
    worst = max(close or pairs, key=lambda pair: (pair.extra > MATERIAL, pair.decades, pair.extra))
    size = worst.decades or worst.extra
    if close:
        return Finding(
            "MODELSENS",
            "severe" if worst.extra > MATERIAL else "warning",
            f"{worst.said}: that is for the model to say, and not for these data",
            size,
            "Compare the laws (bayescale compare), and plan for both answers where neither is ruled out",
        )
    far = max(worst.names, key=lambda name: behind[name])
    return Finding(
        "MODELSENS",
        "note",
        f"{worst.said}; but {far} is {behind[far]:.0f} nats behind by leave-one-out",
        size,
        "Believe those that predict the runs better",
    )


def _pair(asked: Mapping[str, Asked], a: str, b: str) -> _Pair:
    answers = {name: asked[name].answer for name in (a, b)}
    quantity, acting = ABOUT[answers[a].question]
    low, high = sorted(answers, key=lambda name: answers[name].interval(quantity)[1])
    ends = {name: answers[name].interval(quantity, LEVEL) for name in answers}
    disjoint = ends[low][2] < ends[high][0]
    with np.errstate(divide="ignore", invalid="ignore"):
        decades = float(np.log10(ends[high][1] / ends[low][1])) if disjoint else 0.0
    wastes = _wastes(asked, a, b, acting) if acting else []
    extra, costly = max(wastes, default=(0.0, ""))
    unit = answers[a].units.get(quantity, "")
    told = [
        f"{name} says {quantity} {number(ends[name][1], unit)} ({LEVEL:.0%} {number(ends[name][0], unit)} to "
        f"{number(ends[name][2], unit)})"
        for name in (low, high)
    ]
    said = f"of the same runs {told[0]} and {told[1]}"
    said += ", intervals that do not overlap" if disjoint else ""
    return _Pair((a, b), decades, extra, said + (f"; {costly}" if extra > MATERIAL else ""))


def _wastes(asked: Mapping[str, Asked], a: str, b: str, acting: Acting) -> list[tuple[float, str]]:
    """What acting on the choice of each wastes more by the other than its own choice does, and that in words."""
    found = []
    for chooser, judge in ((a, b), (b, a)):
        choice, (surface, answer) = asked[chooser].answer.choice, asked[judge]
        if not choice or answer.regret is None:
            continue
        own, other = mean(answer.regret), mean(acting(surface, answer, choice))
        said = f"by {judge} the choice of {chooser} wastes {other:.1%} of the compute, and its own {own:.1%}"
        found.append((other - own, said))
    return found
