"""The two sides of a domain that a change may reach: how it runs now, and how it boots next."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from tui.actions.base import TargetError, Values, choice
from tui.model.domain import Domain
from tui.model.domain_config import DomainConfig

_Found = TypeVar("_Found")

WHERE = choice(
    "where", "Where", ("both", "live", "persistent"),
    "live: the domain as it runs; persistent: from its next boot on; both: what of the two there is",
)  # fmt: skip
"""The field; its default is every side that there is."""


@dataclass(frozen=True, slots=True)
class Side:
    """One side, with the configuration that holds there now."""

    live: bool
    config: DomainConfig

    @property
    def option(self) -> str:
        """virsh's word for it."""
        return "--live" if self.live else "--config"

    @property
    def words(self) -> str:
        """What a step's title says of it."""
        return "now" if self.live else "from the next boot on"


def sides(domain: Domain, values: Values) -> list[Side]:
    """Return the sides that the field `where` means, live first; raises TargetError when it names one that is not
    there. One request for each: libvirt fails both together when one of them does not apply (code 99 or 55)."""
    where = values["where"]
    found = []
    if where != "persistent" and domain.active:
        found.append(Side(True, _known(domain.config)))
    elif where == "live":
        raise TargetError("where", f"{domain.name} is not running")
    if where != "live" and domain.persistent is not False:
        found.append(Side(False, _known(domain.persistent_config)))
    elif where == "persistent":
        raise TargetError("where", f"{domain.name} is transient: it has no next boot")
    return found


def persistent_first(found: Iterable[_Found], waits: Callable[[_Found], bool]) -> list[_Found]:
    """Return them with those last that `waits` says of that a running guest has to comply with: it may take its time,
    or never do so, and the steps behind that are not begun before it has."""
    return sorted(found, key=waits)


def _known(config: DomainConfig | None) -> DomainConfig:
    if config is None:
        raise TargetError("where", "its configuration is not read yet")
    return config
