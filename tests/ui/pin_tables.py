"""Pin tables made by hand, and the screen on them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from textual.app import App

from tests.ui.capture import Screen
from tui.actions.base import Action, Context, FieldError, Target
from tui.dialogs.editors import Opening
from tui.dialogs.pins import PinsEditor
from tui.model.domain import Domain, DomainState
from tui.model.host import Connection, ConnectionState
from tui.model.host_cpus import HostCpu
from tui.model.kind import Kind
from tui.model.pin_table import PinRow, PinTable
from tui.model.plan import Plan
from tui.model.snapshot import HostSnapshot
from tui.paths import styles_dir


def cpus(count: int, nodes: int = 2, threads: int = 1, offline: Iterable[int] = ()) -> tuple[HostCpu, ...]:
    """Return `count` host CPUs: the first threads of all cores, then the second ones, as Linux numbers them."""
    cores = count // threads
    made = []
    for number in range(count):
        core = number % cores
        siblings = tuple(range(core, count, cores))
        node = core * nodes // cores
        made.append(HostCpu(number, number not in set(offline), node, node, core, siblings))
    return tuple(sorted(made, key=lambda cpu: (cpu.node, cpu.core, cpu.number)))


def row(thread: str, live: tuple[int, ...] | None = None, **other: Any) -> PinRow:
    """Return a thread with that pin on both sides, where it runs as it should unless `other` says otherwise."""
    made = PinRow(
        thread=thread,
        live=live,
        persistent=live,
        there=True,
        tid=4000,
        real=live,
        on_cpu=live[0] if live else None,
        use_percent=12.0,
        wait_percent=0.4,
        drift=False,
    )
    return replace(made, **other)


EIGHT = (
    row("vcpu 0", (0, 1, 2, 3)),
    row("vcpu 1", (4, 5), on_cpu=5, use_percent=99.7),
    row("vcpu 2", (6, 7), real=(6, 8, 9), on_cpu=9, drift=True),
    row("vcpu 3", None, real=tuple(range(64)), on_cpu=40),
    row("vcpu 4", None, real=(32, 33), on_cpu=33, drift=True),
    row("vcpu 5", (50, 51), persistent=(60, 61), wait_percent=None),
    row("vcpu 6", tuple(range(16, 32)), on_cpu=20),
    row("vcpu 7", (62, 63), there=False, real=None, on_cpu=None, use_percent=None, wait_percent=None, tid=None),
    row("emulator", None, real=tuple(range(64)), on_cpu=0),
    row("iothread 1", (8,)),
)


def table(rows: Iterable[PinRow] = EIGHT, **other: Any) -> PinTable:
    """Return a guest on 64 CPUs of two nodes; CPU 63 is offline, CPU 8 is claimed by two others."""
    made = PinTable(
        name="web1",
        rows=tuple(rows),
        cpus=cpus(64, offline=(63,)),
        loads={number: number * 100 / 62 for number in range(63) if number != 10},
        claims={8: ("db2", "web7"), 9: ("db2",)},
        memory_nodes=(1,),
        live=True,
        persistent=True,
        allowed=None,
    )
    return replace(made, **other)


def domain(name: str = "web1") -> Domain:
    """Return a running domain whose key is made of its name."""
    return Domain(f"key-{name}", name, name, 1, DomainState.RUNNING, "booted", persistent=True)


def snapshot(*domains: Domain, sequence: int = 1) -> HostSnapshot:
    """Return a snapshot of a live connection with those domains."""
    connection = Connection("test:///default", ConnectionState.LIVE, 1, False)
    return HostSnapshot(sequence, 1, connection, domains={one.key: one for one in domains})


class PinsApp(App[None]):
    """The editor on tables that a test scripts: `tables` by the target's name, changed at will."""

    CSS_PATH: ClassVar = [styles_dir() / name for name in ("base.tcss", "dialogs.tcss")]

    def __init__(self, *tables: PinTable, where: str | None = "both", refusal: str = "") -> None:
        super().__init__()
        self.tables = {one.name: one for one in tables or (table(),)}
        self.refusal = refusal
        self.asked: list[dict[str, str]] = []
        """The values of which the user was shown the plan."""
        self.left: list[None] = []
        self.planned: list[dict[str, str]] = []
        self.booms = 0
        targets: tuple[Target, ...] = tuple(domain(name) for name in self.tables)
        action = Action("domain.pin", "Pin", "pin", "P", Kind.DOMAIN, "", lambda *_: ())
        values = {"pins": ""} if where is None else {"pins": "", "where": where}
        context = Context(snapshot(*(domain(name) for name in self.tables)), Path("/nowhere"))
        opening = Opening(action, targets, values, lambda: context, self._plan, self.asked.append, lambda _plan: "")
        self.editor = PinsEditor(opening, lambda _snapshot, target: self.tables[target.name])

    def on_mount(self) -> None:
        self.push_screen(self.editor, self.left.append)

    def _plan(self, values: dict[str, str]) -> Plan:
        self.planned.append(values)
        if self.refusal:
            raise FieldError("pins", self.refusal)
        return Plan("domain.pin", "Pin web1", ())

    def tell(self, *tables: PinTable) -> None:
        """Let the editor see these tables as news of the host."""
        self.tables.update({one.name: one for one in tables})
        self.editor.show_snapshot(snapshot(*(domain(name) for name in self.tables), sequence=2))

    def action_boom(self) -> None:
        self.booms += 1


async def shown(screen: Screen, *keys: str) -> str:
    """Press keys and return what a terminal shows then, without blanks at the ends of lines."""
    await screen.pilot.press(*keys)
    await screen.settled()
    return "\n".join(line.rstrip() for line in screen.terminal.text())
