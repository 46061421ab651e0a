"""What of a guest is open to others, and what it has no room for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from tui.checks.base import INFO, WARNING, AnyCheck, Check, DomainCheck, Rule, Scene, Subject, act, domain_subject, run
from tui.model.kind import Kind

if TYPE_CHECKING:
    from tui.model.domain import Domain
    from tui.model.finding import Finding, Remedy
    from tui.model.process import QemuProcess

_OPEN = Rule("display.open", WARNING, "Whoever reaches that port sits at the guest's keyboard.")
_PORTS = Rule("domain.no-free-ports", INFO, "No disk or NIC can be plugged in while it runs.")
_LOCAL = ("127.", "localhost", "::1", "[::1]")
_SECURED = ("tls-creds", "sasl", "password-secret", "tls-port")


def _displays(scene: Scene) -> Iterable[Finding]:
    """By QEMU's own arguments: the XML keeps passwords to itself."""
    for process in scene.snapshot.processes.values():
        for display in process.displays:
            where = open_at(display)
            if where:
                domain = scene.snapshot.domains.get(process.uuid or "")
                yield _OPEN.of(
                    _whose(domain, process), f"{where}, without a password", *_remedies(domain), part=display[:3]
                )


def _whose(domain: Domain | None, process: QemuProcess) -> Subject:
    if domain is not None and domain.active:
        return domain_subject(domain)
    return Subject(Kind.PROCESS, process.name, process.key)


def _remedies(domain: Domain | None) -> Iterable[Remedy]:
    if domain is None:
        return (run("start it with -vnc 127.0.0.1:N and reach it through ssh"),)
    return (
        run(
            "let it listen on 127.0.0.1, or give it a password, for the next boot",
            "virt-xml",
            domain.raw_name,
            "--edit",
            "--graphics",
            "listen=127.0.0.1",
        ),
    )


def open_at(display: str) -> str:
    """Return where a display of QEMU's arguments listens for everybody without asking who they are, in words; ""
    where it does not."""
    words = display.split()
    kind, given = (words[0].lstrip("-"), words[1]) if len(words) == 2 else ("", "")
    parts = given.split(",")
    if kind == "vnc":
        host, colon, number = parts[0].rpartition(":")
        secured = any(part.split("=")[0] in _SECURED or part in ("password", "password=on") for part in parts[1:])
        # unix:PATH and none have no port; one below 0 is VNC's reverse connection.
        open_ = colon and number.isdecimal() and host not in ("unix",) and not host.startswith(_LOCAL)
        wide = host in ("", "0.0.0.0", "::", "[::]")
        return (
            f"its VNC listens on {host or 'all addresses'}, port {5900 + int(number)}"
            if open_ and wide and not secured
            else ""
        )
    if kind == "spice":
        options = dict(part.partition("=")[::2] for part in parts)
        wide = options.get("addr", "") in ("", "0.0.0.0", "::")
        asks = options.get("disable-ticketing") not in ("on", "") or "sasl" in options
        port = options.get("port", "0")
        return (
            f"its SPICE listens on {options.get('addr') or 'all addresses'}, port {port}"
            if wide and not asks and port != "0"
            else ""
        )
    return ""


def _free(_scene: Scene, domain: Domain) -> Iterable[Finding]:
    """Those of machines with PCIe: i440fx has 29 slots."""
    config = domain.config
    if domain.active and config is not None and config.pcie_buses is not None and config.free_slots == 0:
        later = domain.persistent_config
        if later is not None and (later.free_slots or 0) > 0:
            return
        yield _PORTS.of(
            domain_subject(domain),
            "has no free PCIe root port",
            act("add some for the next boot", "domain.ports", domain.key, count="4"),
        )


CHECKS: tuple[AnyCheck, ...] = (
    Check(_displays, ("processes", "domains"), calm=("processes",)),
    DomainCheck(_free),
)
