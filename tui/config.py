"""The configuration file: TOML, checked strictly, every error says where."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tui.model.text import clean

SHORTEST_INTERVAL_S = 0.5
LONGEST_INTERVAL_S = 60.0
PREVIEWS = ("always", "loss")


class ConfigError(Exception):
    """A configuration that cannot be used, in words for the user."""


@dataclass(frozen=True, slots=True)
class Config:
    """What can be configured; the defaults are what a new user gets."""

    uri: str | None = None
    interval_s: float = 2.0
    theme: str = "virtdeck"
    preview: str = "always"
    """Whether actions that can lose nothing show their plan before they run: `always` or only on `loss`."""
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Columns by pane id, in order; a pane that is not named shows its own choice."""
    keymap: Mapping[str, str] = field(default_factory=dict)
    """Key by action id."""
    notice: str = ""
    """Why the file was left unread, in words for the user."""


def load_config(path: Path, *, required: bool) -> Config:
    """Return the configuration in `path`, the defaults when it is not `required` and absent or closed to this user;
    raises ConfigError."""
    # Most users have no such file, and need no parser for it.
    # os.path.exists says no, too, of a folder that may not be looked into (the home of the user before `su -m`).
    if not required and not os.path.exists(path):
        return Config()
    import tomllib

    try:
        with path.open("rb") as file:
            data = tomllib.load(file)
    except FileNotFoundError as error:
        if required:
            raise ConfigError(f"{clean(str(path))}: no such file") from error
        return Config()
    except PermissionError as error:
        # HOME may still be another user's, as under sudo.
        if required:
            raise ConfigError(f"{clean(str(path))}: {clean(str(error))}") from error
        return Config(notice=f"{clean(str(path))} cannot be read: defaults are used")
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{clean(str(path))}: {clean(str(error))}") from error
    try:
        return _checked(data)
    except ConfigError as error:
        raise ConfigError(f"{clean(str(path))}: {error}") from error


def _checked(data: dict[str, Any]) -> Config:
    known = {"uri": _uri, "interval": _interval, "theme": _theme, "preview": _preview, "columns": _columns,
             "keymap": _keymap}  # fmt: skip
    unknown = sorted(set(data) - set(known))
    if unknown:
        raise ConfigError(f"unknown setting {clean(unknown[0])!r}; known: {', '.join(known)}")
    config = Config()
    for name, value in data.items():
        config = known[name](config, value)
    return config


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ConfigError(f"{name} must be a text")
    return value


def _uri(config: Config, value: Any) -> Config:
    return replace(config, uri=_text("uri", value))


def _interval(config: Config, value: Any) -> Config:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ConfigError("interval must be a number of seconds")
    return replace(config, interval_s=checked_interval(float(value)))


def checked_interval(seconds: float) -> float:
    """Return `seconds` when it is a sensible polling interval; raises ConfigError."""
    if not SHORTEST_INTERVAL_S <= seconds <= LONGEST_INTERVAL_S:
        raise ConfigError(f"interval must be between {SHORTEST_INTERVAL_S:g} and {LONGEST_INTERVAL_S:g} seconds")
    return seconds


def _theme(config: Config, value: Any) -> Config:
    return replace(config, theme=_text("theme", value))


def _preview(config: Config, value: Any) -> Config:
    if value not in PREVIEWS:
        raise ConfigError(f"preview must be one of: {', '.join(PREVIEWS)}")
    return replace(config, preview=str(value))


def _columns(config: Config, value: Any) -> Config:
    if not isinstance(value, dict):
        raise ConfigError("columns must be a table of pane = [column, ...]")
    for pane, names in value.items():
        if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
            raise ConfigError(f"columns.{clean(pane)} must be a list of column names")
    return replace(config, columns={pane: tuple(names) for pane, names in value.items()})


def _keymap(config: Config, value: Any) -> Config:
    if not isinstance(value, dict) or not all(isinstance(key, str) and key for key in value.values()):
        raise ConfigError('keymap must be a table of action = "key", e.g. "domain.start" = "s"')
    return replace(config, keymap=dict(value))
