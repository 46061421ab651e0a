"""The actions' keys as configured."""

from __future__ import annotations

from collections.abc import Mapping

from tui.actions import ACTIONS
from tui.commands import COMMANDS
from tui.config import ConfigError
from tui.model.text import clean
from tui.widgets.grid_keys import KEYS

_TAKEN = frozenset({*COMMANDS, *KEYS, " ", "*", "<", ">", "="})


def keys_of(configured: Mapping[str, str]) -> dict[str, str]:
    """Return the key of every action, "" for one that only the palette has; raises ConfigError when the keymap names an
    action that is not there, or gives one kind of thing the same key twice that was not meant to share it."""
    known = {action.id: action.key for action in ACTIONS}
    for ident, key in configured.items():
        if ident not in known:
            raise ConfigError(f"keymap: no action {clean(ident)!r}; see: virtdeck do --list")
        if key in _TAKEN or key.isdecimal():
            raise ConfigError(f"keymap: {clean(ident)} = {clean(key)!r}: that key belongs to the frame")
        clash = next((other for other in ACTIONS if _clash(other.id, ident, known[other.id], key)), None)
        if clash is not None:
            raise ConfigError(f"keymap: {clean(ident)} = {clean(key)!r}: {clash.id} has that key")
        known[ident] = key
    return known


def _clash(other: str, ident: str, other_key: str, key: str) -> bool:
    return other != ident and other_key == key != "" and other.partition(".")[0] == ident.partition(".")[0]
