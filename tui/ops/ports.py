"""Free PCIe root ports of domains, and more of them for the next boot."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tui.model.plan import Request
from tui.ops.base import OpContext, Outcome

OPS: dict[type[Request], Callable[[Any, OpContext], Outcome]] = {}
