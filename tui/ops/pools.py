"""Storage pools: defined, built, started, refreshed, stopped, removed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tui.model.plan import Request
from tui.ops.base import OpContext, Outcome

OPS: dict[type[Request], Callable[[Any, OpContext], Outcome]] = {}
