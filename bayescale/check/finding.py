"""Finding: something to know before an answer is believed."""

from collections.abc import Iterable
from dataclasses import dataclass

SEVERITIES = ("note", "warning", "severe")


@dataclass(frozen=True)
class Finding:
    """Something to know before an answer is believed.

    Attributes:
        code: what kind of finding it is, such as COLLINEAR.
        severity: "note", "warning" or "severe".
        message: what was found, in a sentence.
        number: the number it was found by.
        action: what to do about it.
    """

    code: str
    severity: str
    message: str
    number: float
    action: str

    def __str__(self) -> str:
        return f"{self.severity.upper()} {self.code}: {self.message}. {self.action}."


def sorted_by_severity(found: Iterable[Finding]) -> tuple[Finding, ...]:
    """The findings, the most severe first."""
    return tuple(sorted(found, key=lambda f: -SEVERITIES.index(f.severity)))
