"""The numbers of a column, or what is wrong with them, by file, row and column."""

import math

import numpy as np

from bayescale.columns import MEANINGS
from bayescale.table import Table, named

_LOSS = "a loss is a positive number, in nats for each token"
_SUCCESSES = "a number of successes is a whole number, 0 or more"
_SHARE = "a share of successes is a number from 0 to 1"
# The items of an average of which nobody says how many: what they scatter is nothing beside any noise. It is no whole
# number, so that no noise of counts takes it for one.
MANY = 1e6 + 0.5


def _finite(table: Table, column: str, expected: str, least: str, *, thousands: bool = True) -> np.ndarray:
    """The numbers of a column of which none may be missing, (runs,)."""
    values = table.numbers(column, thousands=thousands)
    bad = ~np.isfinite(values)
    if bad.any():
        text = "".join(map(str, table.columns[column][bad]))
        if "%" in text:
            expected += "; write it without a percent sign"
        elif "," in text:
            expected += "; write decimals with a point, and thousands without commas"
        table.refuse(bad, column, f"{expected}; {_leave_out(column, least)}")
    return values


def _leave_out(column: str, least: str) -> str:
    return f"correct it, or leave such rows out with where={f'{column} {least}'!r}"


def covariate(table: Table, what: str, column: str) -> np.ndarray:
    """A covariate that is known by name, such as N, (runs,)."""
    holds, least, example = MEANINGS[what]
    expected = f"{what}, {holds}, is a number of {least} or more, as {example}"
    values = _finite(table, column, expected, f">= {least}")
    low = values < least
    if low.any():
        billions = what in "NDUC" and (values[low] > 0).all()
        advice = "is it in billions?" if billions else _leave_out(column, f">= {least}")
        table.refuse(low, column, f"{expected}; {advice}")
    if what == "trials" and (values % 1 != 0).any():
        table.refuse(values % 1 != 0, column, "trials are whole numbers")
    return values


def loss(table: Table, column: str, vocabulary: float | None) -> np.ndarray:
    """Losses, (runs,), none above the logarithm of the vocabulary if that is known."""
    # A loss of "2,345" is 2.345 written with a comma, or a mistake.
    values = _finite(table, column, _LOSS, "> 0", thousands=False)
    if (values <= 0).any():
        table.refuse(values <= 0, column, f"{_LOSS}; {_leave_out(column, '> 0')}")
    if vocabulary is not None:
        if not 1 < vocabulary < math.inf:
            raise ValueError(
                f"vocabulary is {vocabulary}; it is the number of tokens of the tokenizer, above 1"
            )
        most = math.log(vocabulary)
        if (values > most).any():
            advice = f"guessing among {vocabulary:g} tokens has a loss of {most:.4g}"
            table.refuse(values > most, column, f"{advice}; is it in nats for each token?")
    return values


def successes(table: Table, column: str, trials: str | None) -> np.ndarray:
    """Numbers of successes, (runs,), out of a column of trials or out of one each."""
    values = _finite(table, column, _SUCCESSES, ">= 0")
    if (values < 0).any():
        table.refuse(values < 0, column, f"{_SUCCESSES}; {_leave_out(column, '>= 0')}")
    parts = values % 1 != 0
    if parts.any():
        advice = "multiply a fraction by the number of trials, and give both"
        table.refuse(parts, column, f"{_SUCCESSES}; {advice}")
    if trials is None:
        if (values > 1).any():
            table.refuse(values > 1, column, "out of how many? name the trials, as names={'trials': ...}")
        return values
    over = values > table.numbers(trials)
    if over.any():
        table.refuse(over, column, f"successes are at most the trials, column {named(trials)}")
    return values


def averages(table: Table, column: str, columns: dict[str, np.ndarray], notes: list[str]) -> np.ndarray:
    """Shares of successes as successes, of which there need not be whole ones."""
    values = _finite(table, column, _SHARE, ">= 0")
    if (bad := (values < 0) | (values > 1)).any():
        table.refuse(bad, column, f"{_SHARE}; divide a percentage by 100")
    if "trials" not in columns:
        columns["trials"] = np.full(len(table), MANY)
        notes.append(
            "there is no column of trials: averages are taken as of many items, and scatter as the noise says"
        )
    found = values * columns["trials"]
    whole = np.rint(found)  # 0.29 of 100 are 29, and not 28.999999999999996
    return np.where(np.abs(found - whole) < 1e-9 * columns["trials"], whole, found)
