"""Tables of a page: what they hold, and decisions in them."""

import base64
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from bayescale.columns import label
from bayescale.decide.decision import Decision
from bayescale.printed import as_text

LONGEST = 60  # letters of the name of a file
NAMES = {
    "C": "training compute, FLOP",
    "N": "parameters N*",
    "D": "tokens D*",
    "D/N": "tokens per parameter",
    "loss": "loss, nats per token",
    "a": "exponent a of N* in C",
    "b": "exponent b of D* in C",
    "epochs": "epochs D*/U",
    "excess loss": "loss above that with unlimited unique tokens, nats",
    "cost of repeating": "share of the compute that they would have saved",
    "training": "compute of training, FLOP",
    "inference": "compute of inference, FLOP",
    "total": "compute of both, FLOP",
    "saved": "saved over the model that is cheapest to train, FLOP",
    "share saved": "the same as a share",
}
FORMS = {"a": ".4f", "b": ".4f", "loss": ".4f", "excess loss": ".4f"}
FORMS |= {"cost of repeating": ".1%", "share saved": ".1%"}


def table(
    caption: str,
    headings: Sequence[str],
    rows: Sequence[Sequence[Any]],
    note: str = "",
    *,
    data: Sequence[Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """A table of texts.

    Args:
        caption: its title.
        headings: of its columns; the first column names the rows.
        rows: the cells; one may be {median, interval}.
        note: what stands below.
        data: the same as plain values, numbers in full, to be taken from the page as CSV; the texts, if None.
    """
    if data is None:
        names = [heading or "name" for heading in headings]
        data = [dict(zip(names, row, strict=True)) for row in rows]
    text = as_text(data)
    file = re.sub(r"[^a-z0-9]+", "-", caption.lower()).strip("-")[:LONGEST].rstrip("-") or "table"
    found = {"caption": caption, "headings": headings, "rows": rows, "note": note, "file": f"{file}.csv"}
    return found | {"csv": f"data:text/csv;charset=utf-8;base64,{base64.b64encode(text.encode()).decode()}"}


def interval(found: Decision, quantity: str, unit: str) -> str:
    """A quantity with its 90% interval, as 70B parameters (90%: 60B to 80B)."""
    told = cell(found, quantity)
    return f"{told['median']} {unit}" + (f" (90%: {told['interval']})" if told["interval"] else "")


def of_decision(found: Decision, caption: str) -> dict[str, Any]:
    """Every quantity of a decision, and below them what it says to do."""
    rows = []
    for quantity in found.draws:
        numbers = [_number(value, quantity) for value in found.interval(quantity)]
        numbers = [numbers[i] if len(found) > 1 or i == 1 else "" for i in (1, 0, 2)]
        rows.append([NAMES.get(quantity, quantity), *numbers, f"{found.defined(quantity):.1%}"])
    far = [f"{c} by {v:.1f} decades" for c, v in found.beyond.items() if v > 0 and c != "U"]
    said = [f"outside the range of the runs, at the median: {', '.join(far)}"] if far else []
    note = " ".join(f"{one[0].upper()}{one[1:]}." for one in (*said, found.advice) if one)
    return table(caption, ["", "median", "5%", "95%", "defined in"], rows, note, data=found.rows())


def of_splits(named: Iterable[tuple[str, Decision]], caption: str) -> dict[str, Any]:
    """One split after the other, in a line each."""
    rows, data, counts = [], [], set()
    for name, found in named:
        data += [{"of": name, **row} for row in found.rows()]
        regret = np.array([]) if found.regret is None else found.regret[np.isfinite(found.regret)]
        wasted = f"{regret.mean():.1%}" if len(regret) > 1 else ""
        counts.add(len(found))
        rows.append([name, *(cell(found, q) for q in ("N", "D", "D/N", "loss")), wasted])
    few = f" Some lines are of {min(counts)} of the draws, thinned evenly." if len(counts - {1}) > 1 else ""
    note = f"Medians, with 90% intervals below them.{few}"
    headings = ["", "parameters N*", "tokens D*", "tokens per parameter", "loss", "mean waste of the choice"]
    return table(caption, headings, rows, note, data=data)


def cell(found: Decision, quantity: str) -> dict[str, str]:
    """The median of a quantity and its 90% interval, as texts."""
    low, middle, high = (_number(value, quantity) for value in found.interval(quantity))
    return {"median": middle, "interval": "" if len(found) == 1 else f"{low} to {high}"}


def _number(value: float, quantity: str) -> str:
    if not np.isfinite(value):
        return "–" if np.isnan(value) else "∞" if value > 0 else "−∞"
    return f"{value:{FORMS[quantity]}}" if quantity in FORMS else label(value)
