"""Text from outside is one line of characters that no terminal obeys, and still tells what it was."""

from __future__ import annotations

import unicodedata

import pytest

from tui.model.text import cells, clean, clean_lines


@pytest.mark.parametrize("text", ["web1", "日本語", "naïve café", "a b", "[red]x[/red]", "$(reboot)", "Ω≈ç"])
def test_harmless_text_stays_as_it_is(text: str) -> None:
    assert clean(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred", "␛[31mred"),
        ("a\nb\tc\r", "a␊b␉c␍"),
        ("bell\x07\x00", "bell␇␀"),
        ("del\x7f", "del␡"),
        ("\x9b31m", "�31m"),
        ("\u202eabc", "�abc"),
        ("a\u2028b\u2029c", "a�b�c"),
        ("zero\u200bwidth\ufeff", "zero�width�"),
        ("no\u00a0break\u3000wide", "no break wide"),
        ("\u0301x", "�x"),
        ("lone\ud800", "lone�"),
        ("flag\ufe0f", "flag�"),
    ],
)
def test_what_a_terminal_would_obey_becomes_visible(text: str, shown: str) -> None:
    assert clean(text) == shown


def test_no_character_of_all_gets_through_that_must_not() -> None:
    bad = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
    for code in range(0x110000):
        for char in clean("x" + chr(code)):
            assert unicodedata.category(char) not in bad, hex(code)


def test_cleaning_twice_changes_nothing() -> None:
    text = "".join(map(chr, range(0x300)))
    assert clean(clean(text)) == clean(text)


def test_lines_are_cleaned_one_by_one() -> None:
    assert clean_lines("<a>\r\n\t<b/>\x1b\n</a>") == ["<a>", "    <b/>␛", "</a>"]


@pytest.mark.parametrize(("text", "width"), [("abc", 3), ("日本", 4), ("e\u0301", 1), ("", 0), ("a日", 3)])
def test_cells_are_counted_as_a_terminal_does(text: str, width: int) -> None:
    assert cells(text) == width
