"""Amounts of memory as people type them: `1.5G`, `512M`, `+256M`, `-1G`, `50%`."""

from __future__ import annotations

import re

_KIB = {"": 1024, "k": 1, "m": 1024, "g": 1024**2, "t": 1024**3, "p": 1024**4}
_AMOUNT = re.compile(
    r"(?P<sign>[+-])?\s*(?P<number>[0-9]{1,15}(?:[.,][0-9]{1,6})?)\s*(?P<unit>%|[kmgtp]?(?:i?b)?)", re.ASCII | re.I
)


def parse_amount(text: str, now_kib: int | None = None, whole_kib: int | None = None) -> int:
    """Return the KiB that `text` means; a bare number is MiB, units are binary. `+` and `-` change `now_kib`, `%` is
    of `whole_kib`. Raises ValueError with a sentence for the user."""
    match = _AMOUNT.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is no amount of memory such as 1.5G, 512M, +256M or 50%")
    number, unit = float(match["number"].replace(",", ".")), match["unit"].lower()
    if unit == "%":
        if whole_kib is None:
            raise ValueError("what it would be a share of is not known; give a size such as 512M")
        amount = round(whole_kib * number / 100)
    elif unit in ("b", "ib"):
        amount = round(number / 1024)
    else:
        amount = round(number * _KIB[unit[:1]])
    if match["sign"] is None:
        return amount
    if now_kib is None:
        raise ValueError("what it is now is not known; give a size such as 512M")
    return now_kib + amount if match["sign"] == "+" else now_kib - amount


def format_amount(kib: int) -> str:
    """Return an amount exactly, as parse_amount takes it: `96M`, `1536M`, `2G`, `100K`."""
    for unit in ("t", "g", "m"):
        if kib and kib % _KIB[unit] == 0:
            return f"{kib // _KIB[unit]}{unit.upper()}"
    return f"{kib}K"
