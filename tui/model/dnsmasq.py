"""dnsmasq processes, libvirt's and others', and the leases they gave."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DhcpRange:
    """Addresses that are given out, first and last."""

    first: str
    last: str


@dataclass(frozen=True, slots=True)
class Lease:
    """A DHCP lease; `host` is what the guest calls itself, cleaned."""

    address: str
    mac: str
    """"" for a lease of DHCPv6, which goes by another name of the client."""
    host: str
    """"" where the guest gives no name."""
    expires_s: int | None
    """Unix time; None: never."""


@dataclass(frozen=True, slots=True)
class Dnsmasq:
    """A running dnsmasq, from its arguments, its configuration file and its lease file."""

    key: str
    """`pid:START` as of a QEMU process."""
    pid: int
    netns: str
    """The key of its namespace; "" where it cannot be seen."""
    interfaces: tuple[str, ...]
    """The links it listens on, raw, a trailing * for any rest; () for all, or for those of `addresses`."""
    ranges: tuple[DhcpRange, ...]
    leases: tuple[Lease, ...] | None
    """Those that have not expired; None: the lease file cannot be read."""
    addresses: tuple[str, ...] = ()
    """The addresses it listens on, where it is told so (--listen-address)."""
    network: str = ""
    """The libvirt network it serves, cleaned; "" for none."""
    config_path: str = ""
    lease_path: str = ""
