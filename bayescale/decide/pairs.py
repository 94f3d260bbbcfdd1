"""Two laws side by side: their draws paired, their findings in one decision."""

import numpy as np

from bayescale.check.findings import sorted_by_severity
from bayescale.decide.decision import Decision
from bayescale.decide.surface import Surface


def paired(first: Surface, second: Surface, joint: bool | None = None) -> tuple[Surface, Surface]:
    """Two surfaces with as many draws, draw by draw.

    Args:
        first: a surface.
        second: another one.
        joint: whether draw number k of both belongs together. By default where both are of one fit. Otherwise the draws
            of the second are shuffled, since samplers that begin with the same key may move together, and those of the
            longer one are cut; of a point fit the one draw stands beside every draw of the other.

    Raises:
        ValueError: draws that belong together are not as many.
    """
    together = first.fit is second.fit if joint is None else joint
    sizes = len(first), len(second)
    if together:
        if sizes[0] != sizes[1]:
            raise ValueError(f"{sizes[0]} and {sizes[1]} draws cannot belong together; leave joint=True away")
        return first, second
    size = min(sizes) if min(sizes) > 1 else max(sizes)
    order = np.random.default_rng(0).permutation(sizes[1])
    kept = np.arange(size) if sizes[0] > 1 else np.zeros(size, int)
    other = order[:size] if sizes[1] > 1 else np.zeros(size, int)
    return _taken(first, kept), _taken(second, other)


def _taken(surface: Surface, rows: np.ndarray) -> Surface:
    return Surface(surface.fit, surface.levels, surface.at, {p: v[rows] for p, v in surface.own.items()})


def both(decision: Decision, other: Decision) -> Decision:
    """The decision with what there is to say of another that it rests on."""
    unknown = float("nan")
    names = dict.fromkeys([*decision.beyond, *other.beyond])
    far = {c: float(np.fmax(decision.beyond.get(c, unknown), other.beyond.get(c, unknown))) for c in names}
    # Of two findings of one kind the one that lies farther out stands for both.
    by_number = sorted([*decision.findings, *other.findings], key=lambda finding: finding.number)
    return decision.replace(
        beyond=far,
        findings=sorted_by_severity({finding.code: finding for finding in by_number}.values()),
        trouble=tuple(dict.fromkeys([*decision.trouble, *other.trouble])),
    )
