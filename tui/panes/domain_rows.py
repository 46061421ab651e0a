"""Rows of the domains pane: libvirt domains and unmanaged QEMU processes in one list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tui.model import units
from tui.model.domain import Address, Domain, DomainState, MonitorState
from tui.model.rates import total
from tui.model.text import natural
from tui.widgets.grid_columns import Cell
from tui.widgets.sparkline import sparkline

if TYPE_CHECKING:
    from tui.model.domain_detail import DomainDetail
    from tui.model.process import QemuProcess
    from tui.model.usage import DomainTraffic, DomainUsage
    from tui.panes.spec import View
    from tui.widgets.grid_filter import Fact

SPARK_WIDTH = 8


@dataclass(frozen=True, slots=True, eq=False)
class DomainRow:
    """A domain or an unmanaged process with all that is known of it; the same object while nothing changed."""

    key: str
    domain: Domain | None
    process: QemuProcess | None
    usage: DomainUsage | None
    traffic: DomainTraffic | None
    addresses: tuple[Address, ...] | None
    monitor: MonitorState | None
    spark: str
    cpu_percent: float | None
    order: tuple[object, ...]
    pending: str = ""
    """What was asked of it and has not come about yet."""

    @property
    def name(self) -> str:
        """The name, cleaned."""
        return self.domain.name if self.domain else self.process.name if self.process else "?"

    @property
    def active(self) -> bool:
        """Whether it runs."""
        return self.domain is None or self.domain.active


def detail_of(view: View, row: DomainRow) -> DomainDetail | None:
    """Return what is read only for the domain that is open; None until it has been read for this one."""
    detail = view.snapshot.detail
    return detail if detail is not None and detail.key == row.key else None


class DomainRows:
    """Makes the rows of a view, keeping those whose parts are the same objects as before."""

    def __init__(self) -> None:
        self._rows: dict[str, DomainRow] = {}
        self._times: dict[str, tuple[int, int]] = {}
        self._ordered: list[DomainRow] = []
        self._parts: tuple[object, ...] = ()

    def __call__(self, view: View) -> Sequence[DomainRow]:
        seen = view.snapshot
        parts = (seen.domains, seen.usage, seen.traffic, seen.addresses, seen.monitors, seen.processes, view.pending)
        if len(parts) == len(self._parts) and all(a is b for a, b in zip(parts, self._parts, strict=True)):
            return self._ordered
        self._parts = parts
        rows = {key: self._domain(view, domain) for key, domain in seen.domains.items()}
        rows |= {key: self._process(process) for key, process in seen.unmanaged().items()}
        if rows.keys() == self._rows.keys() and not self._moved(rows):
            self._ordered = [rows[row.key] for row in self._ordered]
        else:
            self._ordered = sorted(rows.values(), key=lambda row: row.order)
        self._rows = rows
        return self._ordered

    def _moved(self, rows: dict[str, DomainRow]) -> bool:
        """Whether a changed row belongs elsewhere in the list."""
        before = self._rows
        return any(before[key] is not row and before[key].order != row.order for key, row in rows.items())

    def _domain(self, view: View, domain: Domain) -> DomainRow:
        seen, key, old = view.snapshot, domain.key, self._rows.get(domain.key)
        # What is off uses nothing, whatever the last reading said.
        usage = seen.usage.get(key) if domain.active else None
        traffic = seen.traffic.get(key) if domain.active else None
        pending = view.pending.get(key, "")
        addresses, monitor = seen.addresses.get(key), seen.monitors.get(key)
        if (
            old is not None
            and old.domain is domain
            and old.usage is usage
            and old.traffic is traffic
            and old.addresses == addresses
            and old.monitor == monitor
            and old.pending == pending
        ):
            return old
        history = view.cpu_history(key, SPARK_WIDTH) if usage is not None else ()
        vcpus = domain.config.vcpus if domain.config else 1
        order = old.order if old is not None and old.domain and old.domain.name == domain.name else natural(domain.name)
        return DomainRow(
            key, domain, None, usage, traffic, addresses, monitor,
            spark=sparkline(history, SPARK_WIDTH, maximum=100.0 * max(1, vcpus)) if history else "",
            cpu_percent=usage.cpu_percent if usage else None,
            order=order,
            pending=pending,
        )  # fmt: skip

    def _process(self, process: QemuProcess) -> DomainRow:
        old = self._rows.get(process.key)
        if old is not None and old.process is process:
            return old
        before = self._times.get(process.key)
        cpu = None
        if before is not None and process.read_ns > before[1]:
            cpu = (process.cpu_time_ns - before[0]) * 100 / (process.read_ns - before[1])
        self._times[process.key] = (process.cpu_time_ns, process.read_ns)
        order = natural(process.name)
        return DomainRow(process.key, None, process, None, None, None, None, "", cpu, order)


_GLYPHS = {
    DomainState.RUNNING: ("●", "good"),
    DomainState.BLOCKED: ("●", "good"),
    DomainState.PAUSED: ("◐", "warn"),
    DomainState.SHUTDOWN: ("◔", "warn"),
    DomainState.SHUTOFF: ("○", "dim"),
    DomainState.CRASHED: ("✖", "bad"),
    DomainState.PMSUSPENDED: ("◐", "warn"),
    DomainState.NOSTATE: ("?", "unknown"),
}
# Reasons that say no more than the state itself.
_PLAIN = frozenset({"booted", "unpaused", "user", "shutdown", "destroyed", "restored"})
_TROUBLE = frozenset({"I/O error", "watchdog", "crashed", "failed", "panicked", "post-copy failed", "API error"})


def state_cell(row: DomainRow) -> Cell:
    """Return state and reason, with a glyph that tells without colour; a stuck monitor outweighs both."""
    if row.process is not None:
        return Cell("◇ unmanaged", "accent") if row.process.runs else Cell(f"◇ {row.process.state} (unmanaged)", "bad")
    domain = row.domain
    if domain is None:
        return Cell("?", "unknown")
    if row.monitor is not None:
        return Cell("⚠ monitor stuck", "bad")
    glyph, style = _GLYPHS[domain.state]
    if domain.reason in _TROUBLE:
        style = "bad"
    if row.pending:
        glyph, style = "◔", "warn"
    reason = "" if domain.reason in _PLAIN or not domain.reason else f" ({domain.reason})"
    return Cell(f"{glyph} {domain.state.value}{reason}", style)


def _unknown(row: DomainRow) -> Cell:
    """A fact that is not there: nothing for what is off, a question mark for what runs and was not read."""
    return Cell("?", "unknown") if row.active else Cell("")


def cpu_cell(row: DomainRow) -> Cell:
    """Return CPU use in percent of one host CPU."""
    if row.cpu_percent is None:
        return _unknown(row)
    vcpus = row.domain.config.vcpus if row.domain and row.domain.config else 1
    return Cell(units.percent(row.cpu_percent), "warn" if row.cpu_percent > 90 * vcpus else "")


def vcpu_cell(row: DomainRow) -> Cell:
    """Return vCPUs current/maximum."""
    if row.process is not None:
        return Cell(f"{row.process.vcpus}/{row.process.vcpus_max}")
    if row.domain is None or row.domain.config is None:
        return Cell("?", "unknown")
    return Cell(f"{row.domain.config.vcpus}/{row.domain.config.vcpus_max}")


def memory_now_kib(row: DomainRow) -> int | None:
    """Return the memory that the guest has now."""
    if row.process is not None:
        return row.process.memory_kib
    if row.usage is not None and row.usage.balloon_current_kib is not None:
        return row.usage.balloon_current_kib
    return row.domain.config.memory_kib if row.domain and row.domain.config else None


def memory_cell(row: DomainRow) -> Cell:
    """Return memory actual/maximum."""
    now = memory_now_kib(row)
    top = row.domain.config.memory_max_kib if row.domain and row.domain.config else now
    return Cell("?", "unknown") if now is None else Cell(f"{units.size(now)}/{units.size(top)}")


def used_cell(row: DomainRow) -> Cell:
    """Return the memory in use: inside the guest, or resident for an unmanaged process."""
    if row.process is not None:
        return Cell(units.size(row.process.rss_kib), "dim")
    used = row.usage.guest_used_kib if row.usage else None
    if used is None or row.usage is None:
        return _unknown(row)
    share = used / row.usage.available_kib if row.usage.available_kib else 0
    return Cell(units.size(used), "warn" if share > 0.9 else "")


def pair_cell(row: DomainRow, first: float | None, second: float | None) -> Cell:
    """Return two rates side by side."""
    if first is None and second is None:
        return _unknown(row)
    return Cell(f"{units.rate(first):>5} {units.rate(second):>5}")


Rates = tuple[float | None, float | None]


def _disk_rates(row: DomainRow) -> Rates:
    usage = row.usage
    return (usage.disk_read_bytes_per_s, usage.disk_write_bytes_per_s) if usage else (None, None)


def _net_rates(row: DomainRow) -> Rates:
    traffic = row.traffic
    return (traffic.rx_bytes_per_s, traffic.tx_bytes_per_s) if traffic else (None, None)


def disk_cell(row: DomainRow) -> Cell:
    """Return disk read and write rates."""
    config = row.domain.config if row.domain else None
    return Cell("") if config is not None and not config.disks else pair_cell(row, *_disk_rates(row))


def net_cell(row: DomainRow) -> Cell:
    """Return network receive and transmit rates, as the guest sees them."""
    config = row.domain.config if row.domain else None
    return Cell("") if config is not None and not config.nics else pair_cell(row, *_net_rates(row))


_SOURCES = {"lease": "L", "agent": "A", "neighbour": "N", "arp": "N"}


def address_cell(row: DomainRow) -> Cell:
    """Return the first address with a letter for where it came from: Lease, Agent, Neighbour."""
    if not row.addresses:
        return Cell("")
    first, more = row.addresses[0], len(row.addresses) - 1
    return Cell(f"{first.address} {_SOURCES.get(first.source, '?')}" + (f" +{more}" if more else ""))


def flags_cell(row: DomainRow) -> Cell:
    """Return letters: A autostart, T transient, S saved state, N has snapshots, and Δ with the number of differences
    between live and persistent configuration."""
    domain = row.domain
    if domain is None:
        return Cell("")
    letters = "A" if domain.autostart else ""
    letters += "T" if domain.persistent is False else ""
    letters += "S" if domain.managed_save else ""
    letters += "N" if domain.snapshots else ""
    pending = len(domain.differences or ())
    return Cell(letters + (f"Δ{pending}" if pending else ""), "warn" if pending else "")


FACTS = (
    "name", "state", "reason", "uuid", "id", "pid", "cpu", "vcpu", "mem", "maxmem", "used", "disk", "net", "ip",
    "mac", "autostart", "persistent", "pending", "saved", "snapshots", "managed", "title", "network", "image",
)  # fmt: skip


def fact(row: DomainRow, name: str) -> Fact:
    """Return what the filter language calls `name`: sizes in bytes, shares in percent, None for unknown."""
    if name == "cpu":
        return row.cpu_percent
    if name == "mem":
        return _bytes(memory_now_kib(row))
    if name in ("used", "disk", "net"):
        return _figure(row, name)
    if name in ("name", "managed", "ip", "mac", "network", "image"):
        return _text_fact(row, name)
    return _process_fact(row.process, name) if row.process else _domain_fact(row.domain, name)


def _bytes(kib: int | None) -> float | None:
    return None if kib is None else kib * 1024


def _figure(row: DomainRow, name: str) -> Fact:
    if name == "net":
        return total(_net_rates(row))
    if name == "disk":
        return total(_disk_rates(row))
    return _bytes(row.process.rss_kib if row.process else row.usage.guest_used_kib if row.usage else None)


def _text_fact(row: DomainRow, name: str) -> Fact:
    config = row.domain.config if row.domain else None
    match name:
        case "name":
            return row.name
        case "managed":
            return "no" if row.process else "yes"
        case "ip":
            return " ".join(address.address for address in row.addresses or ())
        case "mac":
            return " ".join(nic.mac for nic in config.nics) if config else None
        case "network":
            return " ".join(nic.source for nic in config.nics) if config else None
    return " ".join(disk.source for disk in config.disks) if config else None


def _process_fact(process: QemuProcess, name: str) -> Fact:
    facts: dict[str, Fact] = {
        "state": f"unmanaged {process.state}",
        "pid": str(process.pid),
        "vcpu": float(process.vcpus),
        "maxmem": process.memory_kib * 1024.0,
        "uuid": process.uuid,
    }
    return facts.get(name)


def _domain_fact(domain: Domain | None, name: str) -> Fact:
    if domain is None:
        return None
    config = domain.config
    match name:
        case "state":
            return domain.state.value
        case "reason":
            return domain.reason
        case "uuid":
            return domain.key
        case "id":
            return None if domain.id is None else str(domain.id)
        case "vcpu":
            return float(config.vcpus) if config else None
        case "maxmem":
            return config.memory_max_kib * 1024.0 if config else None
        case "title":
            return config.title if config else None
        case "pending":
            return None if domain.differences is None else float(len(domain.differences))
        case _:
            return _yes_no(domain, name)


def _yes_no(domain: Domain, name: str) -> Fact:
    flags = {
        "autostart": domain.autostart,
        "persistent": domain.persistent,
        "saved": domain.managed_save,
        "snapshots": domain.snapshots,
    }
    value = flags.get(name)
    return None if value is None else "yes" if value else "no"
