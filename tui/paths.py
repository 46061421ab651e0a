"""Where things lie: styles in the package or beside it, configuration and state in the XDG places."""

from __future__ import annotations

import os
from pathlib import Path


def styles_dir() -> Path:
    """Return the folder of the TCSS files: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).parent
    inside = package / "styles"
    return inside if inside.is_dir() else package.parent / "styles"


def _xdg(variable: str, fallback: str) -> Path:
    value = os.environ.get(variable, "")
    # The XDG Base Directory Specification has relative values ignored.
    return (Path(value) if os.path.isabs(value) else _home() / fallback) / "virtdeck"


def _home() -> Path:
    """The home folder; / for a user without one, as login(1) has it."""
    try:
        return Path.home()
    except RuntimeError:
        return Path("/")


def config_file() -> Path:
    """Return the default configuration file, whether it exists or not."""
    return _xdg("XDG_CONFIG_HOME", ".config") / "config.toml"


def state_dir() -> Path:
    """Return the folder for the journal and kept XML, whether it exists or not."""
    return _xdg("XDG_STATE_HOME", ".local/state")


def journal_file() -> Path:
    """Return the file that every change is appended to."""
    return state_dir() / "journal.jsonl"


def muted_file() -> Path:
    """Return the file of the findings that nobody wants to be told."""
    return state_dir() / "muted.json"


def kept_dir() -> Path:
    """Return the folder for the XML of domains that were undefined or redefined."""
    return state_dir() / "kept"
