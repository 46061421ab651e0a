"""Amounts of memory as people type them, and back."""

from __future__ import annotations

import pytest

from tui.model.amount import format_amount, parse_amount

MIB, GIB = 1024, 1024 * 1024


@pytest.mark.parametrize(
    ("text", "kib"),
    [
        ("512", 512 * MIB),
        ("512M", 512 * MIB),
        (" 512 MiB ", 512 * MIB),
        ("1.5G", 1536 * MIB),
        ("1,5g", 1536 * MIB),
        ("2T", 2048 * GIB),
        ("100K", 100),
        ("2048B", 2),
        ("+256M", 768 * MIB),
        ("+ 1g", 1536 * MIB),
        ("-256M", 256 * MIB),
        ("-1G", -512 * MIB),
        ("50%", 512 * MIB),
        ("150%", 1536 * MIB),
        ("+25%", 768 * MIB),
        ("0", 0),
    ],
)
def test_what_is_typed_is_meant_of_512_mib_of_1_gib(text: str, kib: int) -> None:
    assert parse_amount(text, 512 * MIB, GIB) == kib


@pytest.mark.parametrize("text", ["", "M", "1.5.2G", "1e3", "0x10", "--1G", "1G2", "٣M", "1_000", "50 %%", "inf", "1X"])
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no amount of memory"):
        parse_amount(text, 1, 1)


def test_what_it_would_be_of_must_be_known() -> None:
    with pytest.raises(ValueError, match="what it is now is not known"):
        parse_amount("+1G", None, GIB)
    with pytest.raises(ValueError, match="share of is not known"):
        parse_amount("50%", GIB, None)


@pytest.mark.parametrize(
    ("kib", "text"), [(96 * MIB, "96M"), (1536 * MIB, "1536M"), (2 * GIB, "2G"), (1024 * GIB, "1T"), (100, "100K")]
)
def test_an_amount_is_written_exactly_and_read_again(kib: int, text: str) -> None:
    assert format_amount(kib) == text
    assert parse_amount(text) == kib


def test_nothing_is_written_as_nothing() -> None:
    assert parse_amount(format_amount(0)) == 0
