"""Themes, as tokens only."""

from __future__ import annotations

from textual.theme import Theme

THEMES: tuple[Theme, ...] = (
    Theme(
        name="virtdeck",
        primary="#4f9bd9",
        secondary="#7aa2c9",
        accent="#5fc9b8",
        warning="#e0af4f",
        error="#e5605c",
        success="#6fc26f",
        foreground="#d5dae0",
        background="#10151b",
        surface="#171e26",
        panel="#1f2832",
        dark=True,
    ),
    Theme(
        name="virtdeck-light",
        primary="#1f6fb2",
        secondary="#476f95",
        accent="#0b7d6e",
        warning="#8a5a00",
        error="#b3261e",
        success="#2c7a2c",
        foreground="#1d232a",
        background="#f6f7f9",
        surface="#ffffff",
        panel="#e6eaef",
        dark=False,
    ),
)
