"""Text from outside is one line of characters that no terminal obeys, and still tells what it was."""

from __future__ import annotations

import random
import sys
import unicodedata

import pytest
from rich.cells import cell_len
from wcwidth import wcwidth

from tui.model.text import cells, clean, clean_lines, wrapped


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
        ("\u0489x", "�x"),
        ("x\u0489", "x\u0489"),
        ("🇩🇪", "DE"),
        ("👩🏽‍💻", "👩��💻"),
        ("\u1112\u1161\u11ab", "한"),
        ("na\u0308me", "näme"),
        ("\u3164", "�"),
        ("a\U000e0100", "a�"),
    ],
)
def test_what_a_terminal_would_obey_becomes_visible(text: str, shown: str) -> None:
    assert clean(text) == shown


def test_plain_text_stays_the_same_object() -> None:
    name = "web-01 [prod] (a/b)"
    assert clean(name) is name


def test_no_character_of_all_gets_through_that_must_not() -> None:
    bad = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
    # Beyond are planes of one kind each: ideographs, unassigned, private use.
    for code in (*range(0x20000), *range(0xE0000, 0xE0200), 0xF0000, sys.maxunicode):
        for char in clean("x" + chr(code)):
            assert unicodedata.category(char) not in bad, hex(code)


def test_all_who_measure_agree_on_the_width() -> None:
    """Textual measures with Rich, tables with cells(), terminals a character at a time: else columns would shift."""
    chance = random.Random(7)
    pool = [chr(code) for code in range(0x20, 0x20000) if not 0xD800 <= code < 0xE000] + list("日🐧🇩👩🏽‍\u0301" * 500)
    for _ in range(4000):
        shown = clean("".join(chance.choices(pool, k=6)))
        assert clean(shown) == shown
        assert cells(shown) == cell_len(shown) == sum(map(wcwidth, shown)), ascii(shown)


def test_cleaning_twice_changes_nothing() -> None:
    text = "".join(map(chr, range(0x300)))
    assert clean(clean(text)) == clean(text)


def test_lines_are_cleaned_one_by_one() -> None:
    assert clean_lines("<a>\r\n\t<b/>\x1b\n</a>") == ["<a>", "    <b/>␛", "</a>"]


@pytest.mark.parametrize(("text", "width"), [("abc", 3), ("日本", 4), ("e\u0301", 1), ("", 0), ("a日", 3)])
def test_cells_are_counted_as_a_terminal_does(text: str, width: int) -> None:
    assert cells(text) == width


@pytest.mark.parametrize(
    ("text", "width", "lines"),
    [
        ("", 5, [""]),
        ("hello brave new world", 11, ["hello brave", "new world"]),
        ("x" * 25 + " yy", 10, ["x" * 10, "x" * 10, "xxxxx yy"]),
        ("日本語 日本語日本語日本語", 8, ["日本語", "日本語日", "本語日本", "語"]),
        ("a  b", 10, ["a  b"]),
        ("ab cd", 2, ["ab", "cd"]),
    ],
)
def test_wrapped_lines_keep_to_the_width(text: str, width: int, lines: list[str]) -> None:
    assert wrapped(text, width) == lines
    assert all(cells(line) <= width for line in lines)
