"""What studies wrote, as tables of Markdown: dicts of like dicts and lists of dicts are tables, whatever they hold."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

BESIDE = ("command", "cores", "machine", "versions", "question", "python")  # told above all tables
DEEPEST = 6  # level of a heading
WIDE = 14  # columns; a table of more is turned on its side


def page(name: str, results: Mapping[str, Any], said: str) -> str:
    """The section of one study: what it asks, its command and versions, and its tables."""
    lines = [f"## {name}", "", said, ""]
    if "command" in results:
        lines += [
            f"`{results['command']}`, {results.get('cores')} cores, {results.get('machine') or 'x86_64'}: "
            + ", ".join(f"{n} {v}" for n, v in results.get("versions", {}).items()),
            "",
        ]
    rest = {key: value for key, value in results.items() if key not in BESIDE}
    return "\n".join([*lines, *_told("", rest, 2)]).rstrip() + "\n"


def _told(title: str, value: Any, level: int) -> Iterator[str]:
    """The tables of a value under its title."""
    if title:
        yield f"{'#' * min(level, DEEPEST)} {title}"
        yield ""
    if rows := _rows(value):
        yield from _table(rows)
        return
    if not isinstance(value, Mapping):
        yield _cell(value)
        yield ""
        return
    plain = {key: one for key, one in value.items() if _is_plain(one)}
    if plain:
        yield from _table([{"": key, "value": one} for key, one in plain.items()])
    for key, one in value.items():
        if key not in plain:
            yield from _told(str(key), one, level + 1)


def _rows(value: Any) -> list[dict[str, Any]]:
    """The rows of a table, if it is one: each is flat once names within names are joined."""
    if (
        isinstance(value, Mapping)
        and len(value) > 1
        and all(isinstance(one, Mapping) for one in value.values())
    ):
        found = [{"": key} | _flat(one) for key, one in value.items()]
    elif isinstance(value, list) and value and all(isinstance(one, Mapping) for one in value):
        found = [_flat(one) for one in value]
    else:
        return []
    columns = {name for row in found for name in row}
    shared = sum(len(row) for row in found) / len(found) / len(columns)
    flat = all(_is_plain(one) for row in found for one in row.values())
    return found if flat and shared > 0.5 else []


def _flat(row: Mapping[str, Any], within: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in row.items():
        name = f"{within}{key}"
        if isinstance(value, Mapping) and len(value) <= WIDE:
            found |= _flat(value, f"{name}, ")
        else:
            found[name] = value
    return found


def _is_plain(value: Any) -> bool:
    if isinstance(value, Mapping):
        return not value
    if isinstance(value, list):
        return all(not isinstance(one, Mapping | list) for one in value) or not value
    return True


def _table(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    columns = list(dict.fromkeys(name for row in rows for name in row))
    cells = [[_cell(row.get(name)) for name in columns] for row in rows]
    if len(columns) > WIDE and len(rows) <= WIDE:
        columns, *cells = (list(line) for line in zip(columns, *cells, strict=True))
    yield f"| {' | '.join(map(_cell, columns))} |"
    yield f"|{'---|' * len(columns)}"
    for line in cells:
        yield f"| {' | '.join(line)} |"
    yield ""


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | Mapping) and not value:
        return "none"
    if isinstance(value, list):
        return ", ".join(map(_cell, value))
    return str(value).replace("|", "\\|").replace("\n", " ")
