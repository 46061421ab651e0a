"""What a grid needs of a filter; it knows no filter language."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

T = TypeVar("T")

Fact = str | float | None
"""What a filter may know of a row: a text, a number, or None where it is not known."""


class Matcher(Protocol):
    """Decides by a row's facts and words; a parsed Query is one."""

    def matches(self, field: Callable[[str], Fact], text: Callable[[], str]) -> bool:
        """Return whether a row is shown, told by its facts by name and by the text that bare words search."""
        ...


def test_of(matcher: Matcher, field: Callable[[T, str], Fact] | None, words: Callable[[T], str]) -> Callable[[T], bool]:
    """Return the test of one item that `matcher` stands for."""

    def test(item: T) -> bool:
        return matcher.matches(lambda name: field(item, name) if field else None, lambda: words(item))

    return test
