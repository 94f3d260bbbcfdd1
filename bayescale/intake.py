"""From a table to runs: which column is what, and what follows from them."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping

import numpy as np

from bayescale import checked
from bayescale.columns import MEANINGS, grouping, meaning, role
from bayescale.factors import find_factors
from bayescale.table import Table, named

RESPONSES = ("loss", "success")


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
    columns = {m: checked.covariate(table, m, source) for m, source in sources.items()}
    notes += [f"{named(s)} read as {m}, {MEANINGS[m][0]}" for m, s in sources.items() if s != m]
    if kind == "loss":
        values, unit = checked.loss(table, column, vocabulary), "the loss, in nats for each token"
    elif column in found.get("rate", ()):
        values, unit = checked.averages(table, column, columns, notes), "the share of successes"
    else:
        values, unit = checked.successes(table, column, sources.get("trials")), "the number of successes"
    notes += [f"{named(column)} read as {unit}"] if column != kind else []
    notes += [f"{kind} is the response, not {named(c)}" for c in found.get(kind, ()) if column == kind != c]
    if kind == "success" and "trials" not in columns:
        columns["trials"] = np.ones(len(table))
        notes.append("there is no column of trials, and successes are 0 or 1: each run is one trial")
    notes += _derive(columns, table)
    grouped, group_sources, group_notes = find_factors(table, own, columns, factors)
    used = {*sources.values(), column, *group_sources}
    users, left_out = _users(table, own, used, {*columns, *grouped})
    notes += _chance(table, users) if kind == "success" else []
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
    if response == "success" and "success" not in kinds and response not in table.columns and "rate" in found:
        return response, _only(table, found, "rate")
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


def _chance(table: Table, users: dict[str, np.ndarray]) -> list[str]:
    """The success of guessing is put into the columns of the user, where they say from how many choices."""
    told = [column for column in users if role(column) == "choices"]
    if "chance" in users or len(told) != 1:
        return []
    choices = users[told[0]]
    bad = (choices != 0) & (choices < 2)
    if bad.any():
        table.refuse(bad, told[0], "2 or more choices, or 0 where an answer is written out")
    with np.errstate(divide="ignore"):
        users["chance"] = np.where(choices > 0, 1 / choices, 0.0)
    return [f"chance = 1/{told[0]}, the success of guessing"]


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
