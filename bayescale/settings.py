"""What a study was begun with: settings as JSON holds them, read from its folder, and told from others."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

FORMAT = 1  # of the folder; a folder of another is refused


def read_study(path: Path) -> dict[str, Any]:
    """The settings in a study.json."""
    try:
        held = json.loads(path.read_bytes().decode())
        kind, settings = held["format"], held["settings"]
        if kind == FORMAT and held["sha256"] != digest_of(settings):
            raise ValueError("its content is not what was written")
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise ValueError(f"{path} is damaged ({error}); put back a copy, or begin again elsewhere") from error
    if kind != FORMAT:
        raise ValueError(f"{path}: the format is {kind!r}, and this version of bayescale reads {FORMAT}")
    return settings


def as_json(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings as they come back from JSON."""
    try:
        return json.loads(json.dumps(dict(settings), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise ValueError(f"the settings of a study are what JSON can hold, and finite: {error}") from error


def digest_of(settings: Any) -> str:
    """The hash of settings, whatever their order."""
    return hashlib.sha256(json.dumps(settings, allow_nan=False, sort_keys=True).encode()).hexdigest()


def check_same(folder: Path, begun: dict[str, Any], now: dict[str, Any]) -> None:
    """Refuse settings other than those that a study was begun with, and name each."""
    if begun.get("algorithm") != now.get("algorithm"):  # which nobody can set
        raise ValueError(
            f"{folder} was begun by a version of bayescale whose replicates have other bits (algorithm "
            f"{begun.get('algorithm')}, and now it is {now.get('algorithm')}). Resume with that version, or choose "
            "another folder"
        )
    old, new = dict(_leaves(begun)), dict(_leaves(now))
    found = []
    for path in dict.fromkeys([*old, *new]):
        was, is_ = old.get(path), new.get(path)
        if was == is_:
            continue
        name = ".".join(json.dumps(part)[1:-1] for part in path)
        had = f"without {name}" if was is None else f"with {name} {_short(was, is_)}"
        found.append(f"{had}, and now it is {'not given' if is_ is None else _short(is_, was)}")
    if found:
        raise ValueError(
            f"{folder} was begun {'; '.join(found)}. Resume with the settings it was begun with, or choose another "
            "folder"
        )


def _leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    if isinstance(value, dict) and (value or not path):
        for name, inner in value.items():
            yield from _leaves(inner, (*path, name))
    else:
        yield path, json.dumps(value, sort_keys=True)


def _short(text: str, other: str | None) -> str:
    """A value as it goes into a message; a long one from a little before it differs from the other."""
    if len(text) <= 40:
        return text
    differ = next((i for i, (a, b) in enumerate(zip(text, other or "", strict=False)) if a != b), 0)
    start = differ - 5 if differ > 12 else 0
    return f"{'...' if start else ''}{text[start : start + 17]}{'...' if start + 17 < len(text) else ''}"
