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
    far = {c: max(decision.beyond.get(c, 0.0), value) for c, value in other.beyond.items()}
    findings = {finding.code: finding for finding in [*other.findings, *decision.findings]}
    worst = {
        code: max(
            (f for f in [*decision.findings, *other.findings] if f.code == code), key=lambda f: f.number
        )
        for code in findings
    }
    return decision.replace(
        beyond={**decision.beyond, **far},
        findings=sorted_by_severity(worst.values()),
        trouble=tuple(dict.fromkeys([*decision.trouble, *other.trouble])),
    )
