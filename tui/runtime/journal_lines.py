"""Entries of the journal as lines of JSON, and back: the file is read as a stranger's, type by type."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from functools import lru_cache
from types import NoneType, UnionType
from typing import Any, Union, cast, get_args, get_origin, get_type_hints

from tui.model.journal import Asked, Entry, Status
from tui.model.plan import Request, Step
from tui.model.text import clean

# The year 2262; more does not fit 64 bits.
_LATEST_NS = 2**63


def entry_as_json(entry: Entry) -> dict[str, Any]:
    """Return an entry as JSON-able data."""
    data = {f.name: getattr(entry, f.name) for f in fields(entry) if f.name != "work"}
    asked = [{f.name: getattr(item, f.name) for f in fields(item)} for item in entry.asked]
    undo = [_step_as_json(step) for step in entry.undo]
    return data | {"status": entry.status.value, "undo": undo, "asked": asked}


def _step_as_json(step: Step) -> dict[str, Any]:
    request = {f.name: getattr(step.request, f.name) for f in fields(step.request)}
    return {
        "title": step.title,
        "command": list(step.command),
        "target": step.target,
        "loses": step.loses,
        "typed": step.typed,
        "finishes": step.finishes,
        "request": {"type": type(step.request).__name__, **request},
    }


def parse_line(line: bytes, types: Mapping[str, type[Request]]) -> Entry:
    """Return the entry of a line of the file; raises ValueError, KeyError, TypeError or RecursionError on anything
    that is none."""
    return entry_from_json(json.loads(line, parse_constant=_no_number), types)


def _no_number(word: str) -> None:
    raise ValueError(f"{word} is no number of JSON")


def entry_from_json(data: Any, types: Mapping[str, type[Request]]) -> Entry:
    """Return the entry of `entry_as_json`, its texts cleaned; raises ValueError, KeyError or TypeError on anything
    else."""
    data = _typed(data, dict, "entry")
    return Entry(
        id=_text(data, "id"),
        uri=_text(data, "uri"),
        action=_text(data, "action"),
        title=_text(data, "title"),
        undoes=_text(data, "undoes"),
        at_ns=_instant(data["at_ns"]),
        commands=_texts(data, "commands"),
        status=Status(data["status"]),
        results=_texts(data, "results"),
        ended_ns=None if data["ended_ns"] is None else _instant(data["ended_ns"]),
        undo=tuple(_step_from_json(step, types) for step in _typed(data["undo"], list, "undo")),
        # Lines of earlier versions have none.
        asked=tuple(_asked_from_json(item) for item in _typed(data.get("asked", []), list, "asked")),
    )


def _asked_from_json(data: Any) -> Asked:
    # Lines of earlier versions have no memory.
    data = {"kib": 0, **_typed(data, dict, "asked")}
    return Asked(**{f.name: _typed(data[f.name], _hints(Asked)[f.name], f.name) for f in fields(Asked)})


def _step_from_json(data: Any, types: Mapping[str, type[Request]]) -> Step:
    data = _typed(data, dict, "step")
    command = _typed(data["command"], list, "command")
    return Step(
        title=_text(data, "title"),
        command=tuple(_typed(word, str, "command") for word in command),
        request=_request(_typed(data["request"], dict, "request"), types),
        target=_typed(data["target"], str, "target"),
        loses=None if data["loses"] is None else _text(data, "loses"),
        # Lines of earlier versions have none.
        typed=_typed(data.get("typed", False), bool, "typed"),
        finishes=_typed(data.get("finishes", False), bool, "finishes"),
    )


def _request(data: Mapping[str, Any], types: Mapping[str, type[Request]]) -> Request:
    """The request, each field of the type that it is declared with; fields that have a default may be missing."""
    kind = types[_typed(data["type"], str, "type")]
    hints = _hints(cast("Any", kind))
    given = {name: value for name, value in data.items() if name != "type"}
    return kind(**{name: _as_declared(value, hints[name], name) for name, value in given.items()})


@lru_cache(maxsize=256)
def _hints(kind: type[Any]) -> Mapping[str, Any]:
    hints = get_type_hints(kind)
    return {f.name: hints[f.name] for f in fields(kind)}


def _as_declared(value: Any, declared: Any, name: str) -> Any:
    """Return `value` as the declared type, lists as tuples; raises TypeError when it is of another."""
    origin, parts = get_origin(declared), get_args(declared)
    if origin in (Union, UnionType):
        return _as_one_of(value, parts, name)
    if origin is tuple:
        items = _typed(value, list, name)
        kinds = parts[:1] * len(items) if parts[1:] == (...,) else parts
        if len(kinds) != len(items):
            raise TypeError(f"{name}: {len(items)} items where {len(kinds)} belong")
        return tuple(_as_declared(item, kind, name) for item, kind in zip(items, kinds, strict=True))
    return _typed(value, declared, name)


def _as_one_of(value: Any, kinds: tuple[Any, ...], name: str) -> Any:
    for kind in kinds:
        try:
            return _as_declared(value, kind, name)
        except TypeError:
            continue
    raise TypeError(f"{name}: {type(value).__name__} is not what it is declared as")


def _typed(value: Any, kind: Any, name: str) -> Any:
    """Return `value` if it is of exactly that type (True is no int here), else raise TypeError."""
    if kind in (bool, int, float, str, list, dict, NoneType) and type(value) is kind:
        return value
    raise TypeError(f"{name}: {type(value).__name__} where {getattr(kind, '__name__', kind)} belongs")


def _text(data: Mapping[str, Any], name: str) -> str:
    return clean(_typed(data[name], str, name))


def _texts(data: Mapping[str, Any], name: str) -> tuple[str, ...]:
    return tuple(clean(_typed(line, str, name)) for line in _typed(data[name], list, name))


def _instant(value: Any) -> int:
    instant: int = _typed(value, int, "instant")
    if not 0 <= instant < _LATEST_NS:
        raise ValueError(f"{instant:.3g} ns is not within this age")
    return instant
