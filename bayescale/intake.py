"""From a table to runs: which column is what, whether its cells can be so, and what follows from them."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping

import numpy as np

from bayescale.columns import MEANINGS, grouping, meaning
from bayescale.factors import find_factors
from bayescale.table import Table, named

RESPONSES = ("loss", "success")
_LOSS = "a loss is a positive number, in nats for each token"
_SUCCESSES = "a number of successes is a whole number, 0 or more"
_SHARE = "a share of successes is a number from 0 to 1"
# The items of an average of which nobody says how many: what they scatter is nothing beside any noise. It is no whole
# number, so that no noise of counts takes it for one.
MANY = 1e6 + 0.5


def fields(
    table: Table,
    *,
    response: str | None,
    factors: Iterable[str],
    vocabulary: float | None,
    names: Mapping[str, str] | None,
    where: str | None,
    duplicates: str,
) -> dict:
    """What `Runs` is made of, but for what follows from it; see `Runs.make`."""
    if isinstance(factors, str):
        raise TypeError(f"factors is {factors!r}; it is a list of columns, as [{factors!r}]")
    if duplicates not in ("refuse", "keep"):
        raise ValueError(f"duplicates is {duplicates!r}; it is 'refuse' or 'keep'")
    names = {} if names is None else names
    if not isinstance(names, Mapping):
        raise TypeError(f"names is {names!r}; it is a mapping from names to columns, as {{'N': 'size'}}")
    notes = list(table.notes)
    own = _own_names(table, names, notes)
    found = _recognise(own, names)
    if where is not None:
        table = _keep_rows(table, where, own, found, notes)
    kind, column = _find_response(table, found, response)
    _check_rows(table, duplicates)

    wanted = [
        m for m in MEANINGS if found.get(m, [column]) != [column] and (m != "trials" or kind == "success")
    ]
    sources = {m: _only(table, found, m) for m in wanted}
    columns = {m: _covariate(table, m, source) for m, source in sources.items()}
    notes += [f"{named(s)} read as {m}, {MEANINGS[m][0]}" for m, s in sources.items() if s != m]
    if kind == "loss":
        values, unit = _loss(table, column, vocabulary), "the loss, in nats for each token"
    elif column in found.get("rate", ()):
        values, unit = _averages(table, column, columns, notes), "the share of successes"
    else:
        values, unit = _successes(table, column, sources.get("trials")), "the number of successes"
    notes += [f"{named(column)} read as {unit}"] if column != kind else []
    notes += [f"{kind} is the response, not {named(c)}" for c in found.get(kind, ()) if column == kind != c]
    if kind == "success" and "trials" not in columns:
        columns["trials"] = np.ones(len(table))
        notes.append("there is no column of trials, and successes are 0 or 1: each run is one trial")
    notes += _derive(columns, table)
    grouped, group_sources, group_notes = find_factors(table, own, columns, factors)
    used = {*sources.values(), column, *group_sources}
    users, left_out = _users(table, own, used, {*columns, *grouped})
    return {
        "columns": {m: columns[m] for m in MEANINGS if m in columns} | users,
        "response": values,
        "factors": {name: index for name, (index, _) in grouped.items()},
        "levels": {name: levels for name, (_, levels) in grouped.items()},
        "kind": kind,
        "source": table.source,
        "notes": (*notes, *group_notes, *left_out),
    }


def _own_names(table: Table, names: Mapping[str, str], notes: list[str]) -> dict[str, str]:
    """The name that each column of the table goes by: its own, or the one it is given."""
    for name, column in names.items():
        if column not in table.columns:
            raise ValueError(
                f"{table.source}: names says that {name} is {column!r}, and there is no such column; "
                f"the columns are {named(*table.columns)}"
            )
    if len(set(names.values())) < len(names):
        raise ValueError(f"names is {dict(names)}; each column goes by one name")
    given = {column: name for name, column in names.items()}
    lost = [column for column in table.columns if column in names and column not in given]
    notes += [f"left out (names gives its name to another column): {named(column)}" for column in lost]
    return {column: given.get(column, column) for column in table.columns if column not in lost}


def _recognise(own: Mapping[str, str], names: Mapping[str, str]) -> dict[str, list[str]]:
    """What a column may hold -> the columns that may hold it; a name that is given leaves no choice."""
    found = defaultdict(list)
    for column, name in own.items():
        found[meaning(name)].append(column)
    for name, column in names.items():
        found[meaning(name)] = [column]
    found.pop(None, None)
    return dict(found)


def _only(table: Table, found: Mapping[str, list[str]], what: str) -> str:
    """The one column that holds `what`."""
    if len(found[what]) > 1:
        advice = (
            f"response={found[what][0]!r}" if what in RESPONSES else f"names={{{what!r}: {found[what][0]!r}}}"
        )
        raise ValueError(
            f"{table.source}: columns {' and '.join(map(named, found[what]))} can each be read as {what}; "
            f"say which, as {advice}"
        )
    return found[what][0]


def _keep_rows(
    table: Table, where: str, own: Mapping[str, str], found: Mapping[str, list[str]], notes: list[str]
) -> Table:
    if not isinstance(where, str):
        raise TypeError(f"where is {where!r}; it is text, as 'step >= 1000'")
    columns = {what: c[0] for what, c in found.items() if len(c) == 1} | {n: c for c, n in own.items()}
    columns |= {column: column for column in table.columns}
    mask = np.logical_and.reduce([table.satisfies(condition, columns) for condition in where.split(",")])
    if not mask.any():
        raise ValueError(f"{table.source}: where is {where!r}, and none of {len(table)} rows is so")
    notes.append(f"where {where}: {len(table) - mask.sum()} of {len(table)} rows left out")
    return table.keep(mask)


def _check_rows(table: Table, duplicates: str) -> None:
    if len(table) < 2:
        found = "is one run" if len(table) else "are no runs"
        raise ValueError(f"{table.source}: there {found}; a law needs several")
    groups = table.repeated() if duplicates == "refuse" else np.array([-1])
    if (groups >= 0).any():
        first = groups == groups[groups >= 0][0]
        others = np.sum(groups >= 0) - first.sum()
        more = f"; {others} other rows are alike" if others else ""
        raise ValueError(
            f"{table.where(first)}: the same in every column{more}; remove the copies, "
            "or keep them with duplicates='keep' (--duplicates keep)"
        )


def _find_response(table: Table, found: dict[str, list[str]], response: str | None) -> tuple[str, str]:
    """The kind of response, and its column."""
    kinds = [kind for kind in RESPONSES if kind in found]
    if response in kinds or (response is None and len(kinds) == 1):
        kind = response or kinds[0]
        # A column called loss is the loss, whatever other losses there are.
        return kind, kind if kind in found[kind] else _only(table, found, kind)
    listed = f"the columns are {named(*table.columns)}"
    if response is None and kinds:
        columns = " and ".join(named(found[kind][0]) for kind in kinds)
        raise ValueError(
            f"{table.source}: mixed responses, columns {columns}; say response='loss' or response='success'"
        )
    if response is None:
        rate = (
            f"; {named(*found['rate'])} is a fraction: give successes and trials, or "
            f"response={found['rate'][0]!r} and average noise"
            if "rate" in found
            else ""
        )
        like = next((column for column in table.columns if "loss" in column.lower()), "val_loss")
        raise ValueError(
            f"{table.source}: there is no column of losses or successes{rate}; "
            f"say which it is, as response={like!r} (--response); {listed}"
        )
    if response not in table.columns:
        raise ValueError(f"{table.source}: there is no column {response!r} for the response; {listed}")
    success = response in found.get("success", ()) or response in found.get("rate", ())
    return ("success" if success else "loss"), response


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


def _covariate(table: Table, what: str, column: str) -> np.ndarray:
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


def _loss(table: Table, column: str, vocabulary: float | None) -> np.ndarray:
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


def _successes(table: Table, column: str, trials: str | None) -> np.ndarray:
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


def _averages(table: Table, column: str, columns: dict[str, np.ndarray], notes: list[str]) -> np.ndarray:
    """Shares of successes as successes, of which there need not be whole ones."""
    values = _finite(table, column, _SHARE, ">= 0")
    if (bad := (values < 0) | (values > 1)).any():
        table.refuse(bad, column, f"{_SHARE}; divide a percentage by 100")
    if "trials" not in columns:
        columns["trials"] = np.full(len(table), MANY)
        notes.append(
            "there is no column of trials: averages are taken as of many items, and scatter as the noise says"
        )
    successes = values * columns["trials"]
    whole = np.rint(successes)  # 0.29 of 100 are 29, and not 28.999999999999996
    return np.where(np.abs(successes - whole) < 1e-9 * columns["trials"], whole, successes)


def _derive(columns: dict[str, np.ndarray], table: Table) -> list[str]:
    """What follows from C = 6ND is put into columns; the notes say so."""
    formulas = {
        "ND": ("C", "C = 6ND", lambda N, D: 6 * N * D),
        "NC": ("D", "D = C/(6N)", lambda N, C: C / (6 * N)),
        "DC": ("N", "N = C/(6D)", lambda D, C: C / (6 * D)),
    }
    have = "".join(what for what in "NDC" if what in columns)
    if have == "NDC":
        return _compare(columns, table)
    if have not in formulas:
        return []
    what, formula, of = formulas[have]
    with np.errstate(over="ignore"):  # said below, with the row
        columns[what] = of(*(columns[name] for name in have))
    bad = ~((columns[what] >= 1) & np.isfinite(columns[what]))
    if bad.any():
        raise ValueError(
            f"{table.where(bad)}: {formula} is {columns[what][bad][0]:g}; expected 1 or more; "
            f"check {' and '.join(have)}, or give {what}"
        )
    return [f"{formula} is derived: the table has no {what}"]


def _compare(columns: Mapping[str, np.ndarray], table: Table) -> list[str]:
    with np.errstate(over="ignore"):
        away = np.abs(np.log(columns["C"]) - np.log(6 * columns["N"]) - np.log(columns["D"]))
    worst = int(np.argmax(away))
    if away[worst] <= math.log(1.1):
        return []
    ratio = columns["C"][worst] / columns["N"][worst] / columns["D"][worst] / 6
    return [
        f"C is not 6ND: C/6ND is {ratio:.3g} in row {table.rows[worst]}, the farthest; C is taken as given"
    ]


def _users(
    table: Table, own: Mapping[str, str], used: set[str], taken: set[str]
) -> tuple[dict[str, np.ndarray], list[str]]:
    """The other columns of numbers, by their own names, and notes on the columns left out."""
    kept, left = {}, defaultdict(list)
    for column, name in own.items():
        if column in used:
            continue
        values = table.dates(column)
        if name in taken:
            left["their names are taken"].append(column)
        elif np.isfinite(values).all() and grouping(name) is None:
            kept[name] = values
        elif np.isfinite(values).any() and grouping(name) is None:
            left["with empty cells, or cells that are not numbers"].append(column)
        else:
            left["text"].append(column)
    return kept, [f"left out ({why}): {named(*columns)}" for why, columns in left.items()]
