"""Triage: what is wrong here. A new family of checks is one file and one line here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.checks import (
    domain_load,
    domain_state,
    exposure,
    host,
    images,
    links,
    networks,
    placement,
    plugs,
    pools,
    routing,
)

if TYPE_CHECKING:
    from tui.checks.base import AnyCheck

CHECKS: tuple[AnyCheck, ...] = (
    *host.CHECKS,
    *domain_state.CHECKS,
    *domain_load.CHECKS,
    *placement.CHECKS,
    *images.CHECKS,
    *exposure.CHECKS,
    *pools.CHECKS,
    *networks.CHECKS,
    *links.CHECKS,
    *plugs.CHECKS,
    *routing.CHECKS,
)
