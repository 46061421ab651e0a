"""A row of figures as one line of block characters."""

from __future__ import annotations

import math
from collections.abc import Sequence

BLOCKS = "▁▂▃▄▅▆▇█"
UNKNOWN = "·"


def sparkline(values: Sequence[float | None], width: int, maximum: float | None = None) -> str:
    """Return exactly `width` characters for the newest `width` values, newest at the right.

    `maximum` is the value of a full block; None takes the greatest value shown. Values are held within 0 and the
    maximum, unknown ones (None, not finite) are "·", and where there are not yet values it is blank."""
    newest = [_known(value) for value in values[-width:]] if width > 0 else []
    top = maximum if maximum is not None else max((value for value in newest if value is not None), default=0.0)
    drawn = "".join(UNKNOWN if value is None else _block(value, top) for value in newest)
    return drawn.rjust(max(width, 0))


def _known(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _block(value: float, top: float) -> str:
    """Return the lowest block for nothing, the full one for `top`, and one above the lowest for any load at all."""
    if top <= 0 or value <= 0:
        return BLOCKS[0]
    share = min(value / top, 1.0)
    return BLOCKS[max(1, round(share * (len(BLOCKS) - 1)))]
