"""The order of names as people count."""

from __future__ import annotations

import re
import unicodedata

_NUMBERS = re.compile(r"(\d+)")


def natural(name: str) -> tuple[object, ...]:
    """Return a sort key that puts web2 before web10, however long the numbers are."""
    return tuple(map(_part_order, _NUMBERS.split(name.casefold())))


def _part_order(part: str) -> tuple[int, int, str]:
    """Compared as digits: int() refuses a number of more than a few thousand of them."""
    if not part.isdecimal():
        return 1, 0, part
    digits = "".join(str(unicodedata.decimal(digit)) for digit in part).lstrip("0")
    return 0, len(digits), digits
