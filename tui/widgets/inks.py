"""How the style tokens look, straight from the theme's variables.

Component classes would be the framework's way; resolving a dozen of them for each of a dozen widgets was measured to
take 40 ms of the first picture, and these take none.
"""

from __future__ import annotations

from typing import NamedTuple

from rich.style import Style
from textual.color import Color
from textual.widget import Widget


class Ink(NamedTuple):
    """Theme variable of the ink, attributes, and those in its place on terminals without colours."""

    variable: str = ""
    attributes: str = ""
    colourless: str = ""


TOKEN_INKS: dict[str, Ink] = {
    "good": Ink("text-success"),
    "warn": Ink("text-warning", "", "bold"),
    "bad": Ink("text-error", "bold", "bold underline"),
    "dim": Ink("", "dim", "dim"),
    "unknown": Ink("", "dim italic", "dim italic"),
    "accent": Ink("text-accent"),
    "title": Ink("", "bold", "bold"),
    "key": Ink("text-accent", "bold", "bold"),
    "active": Ink("", "bold reverse", "bold reverse"),
    "blurred": Ink("", "underline", "underline"),
}
"""The inks of the tokens every painted widget knows; "" is the line's own."""


_WEAK = 0.3


class Ground(NamedTuple):
    """What lies under a whole line: a theme colour laid on the background, an ink, attributes."""

    variable: str
    share: float
    ink: Ink


GROUNDS: dict[str, Ground] = {
    "header": Ground("", 0.0, Ink("text-primary", "bold", "bold underline")),
    "cursor": Ground("primary", 0.45, Ink("", "bold", "bold reverse")),
    "cursor-blurred": Ground("primary", 0.2, Ink("", "", "reverse")),
    "marked": Ground("accent", 0.15, Ink()),
}
"""The grounds of a grid's lines."""


def resolve(widget: Widget, ground: str, token: str) -> Style:
    """Return the style of a token on a line of that ground; names that are not there add nothing."""
    style = widget.rich_style
    if under := GROUNDS.get(ground):
        style += _ground(widget, under)
    if ink := TOKEN_INKS.get(token):
        style += _ink(widget, ink)
    return style


def _ink(widget: Widget, ink: Ink) -> Style:
    if widget.app.no_color:
        return Style.parse(ink.colourless)
    style = Style.parse(ink.attributes)
    return style + Style(color=_colour(widget, ink.variable).rich_color) if ink.variable else style


def _colour(widget: Widget, variable: str) -> Color:
    return Color.parse(widget.app.theme_variables[variable])


def _ground(widget: Widget, ground: Ground) -> Style:
    style = _ink(widget, ground.ink)
    if not ground.variable or widget.app.no_color:
        return style
    over = _colour(widget, ground.variable)
    if over.ansi is not None:
        # The terminal's own colours cannot be mixed: the strongest ground is the colour itself, weaker ones have none.
        strong = ground.share > _WEAK
        return style + (Style(bgcolor=over.rich_color) if strong else Style.parse(ground.ink.colourless))
    return style + Style(bgcolor=widget.background_colors[1].blend(over, ground.share).rich_color)
