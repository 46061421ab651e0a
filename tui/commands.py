"""The frame's own keys."""

from __future__ import annotations

from collections.abc import Mapping

COMMANDS: Mapping[str, str] = {
    "/": "filter",
    "escape": "back",
    "v": "side",
    "]": "next_tab",
    "[": "previous_tab",
    "f5": "redraw",
    "ctrl+l": "redraw",
    "?": "help",
    "q": "quit",
    ":": "palette",
    "ctrl+p": "palette",
    "u": "undo",
}
"""Command of the frame by the character typed or Textual's name of the key."""
