"""Writes the README's pictures from real runs on the demo host: python -m tests.tools.screenshots [--out DIR] [NAME]...

Each picture is the real program, driven by keys; only what would differ from run to run is held still: the clock,
and with it the demo host's made-up figures, the host's name, and the folder that the demo host lies in."""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest import mock

from tests.tools.svg import slim
from tests.ui.capture import captured
from tests.ui.words import Deck
from tui.app import VirtdeckApp
from tui.config import Config
from tui.demo import prepare, write_demo_host
from tui.demo.figures import demo_usage
from tui.demo.links import DemoNetwork
from tui.model.host import ConnectionState
from tui.model.journal import Entry
from tui.model.snapshot import HostSnapshot
from tui.ops import request_types
from tui.paths import journal_file
from tui.runtime.collector import Collector
from tui.runtime.journal import Journal
from tui.runtime.mailbox import Mailbox
from tui.runtime.store import Store
from tui.widgets.lines import FILL

NARROW, USUAL, WIDE = (80, 24), (120, 40), (200, 60)
_SECOND_NS = 1_000_000_000
_NOON_NS = int(datetime(2026, 11, 20, 12, tzinfo=UTC).timestamp()) * _SECOND_NS
_INTERVAL_S = 60.0


def _prepare(connection: Any) -> None:
    connection.getHostname = lambda: "node1"
    prepare(connection)


class _SteadyStore(Store):
    """A store whose history is that of the figures, not of how often they happened to be read."""

    def cpu_history(self, key: str, length: int) -> tuple[float | None, ...]:
        assert self.snapshot is not None
        domain = self.snapshot.domains[key]
        instants = (_NOON_NS - int(_INTERVAL_S) * _SECOND_NS * back for back in reversed(range(length)))
        return tuple(demo_usage(None, domain, None, instant).cpu_percent for instant in instants)


class _SteadyJournal(Journal):
    """A journal in which the changes lie ten seconds apart, up to a minute ago, and take a tenth of a second."""

    _shown: tuple[tuple[Entry, ...], tuple[Entry, ...]] = ((), ())

    def entries(self) -> tuple[Entry, ...]:
        real = super().entries()
        if real is not self._shown[0]:
            self._shown = real, tuple(_at(entry, 10 * place - 60) for place, entry in enumerate(real))
        return self._shown[1]


def _at(entry: Entry, seconds: int) -> Entry:
    at_ns = _NOON_NS + seconds * _SECOND_NS
    return replace(entry, at_ns=at_ns, ended_ns=None if entry.ended_ns is None else at_ns + _SECOND_NS // 10)


@asynccontextmanager
async def _deck(uri: str, size: tuple[int, int]) -> AsyncIterator[Deck]:
    """The program on the demo host, read in full."""
    mailbox: Mailbox[HostSnapshot] = Mailbox()
    collector = Collector(
        uri,
        read_only=False,
        interval_s=_INTERVAL_S,
        publish=mailbox.put,
        one_by_one=demo_usage,
        prepare=_prepare,
        network=DemoNetwork().read,
    )
    journal = _SteadyJournal(journal_file(), request_types)
    app = VirtdeckApp(collector, mailbox, journal, Config(interval_s=_INTERVAL_S), demo=True)
    app._store = _SteadyStore()
    collector.start()
    try:
        async with captured(app, size) as screen:
            deck = Deck(app, screen)
            await deck.until(lambda: not deck.snapshot.unread, "the host is read")
            yield deck
    finally:
        collector.stop()
        journal_file().unlink(missing_ok=True)


async def _still(deck: Deck) -> None:
    """Wait until all that is in view has been read and drawn, and no toast is left."""
    await deck.until(lambda: _missing(deck) == "", "all that is in view is read")
    deck.app.clear_notifications()
    await deck.settle()


def _missing(deck: Deck) -> str:
    """What is in view and not read or not drawn yet; "" when nothing is."""
    frame, seen = deck.app.frame, deck.snapshot
    visible, detail = frame.looked_at()
    unread = [key for key in visible if key in seen.domains and seen.domains[key].active and key not in seen.usage]
    if unread:
        return f"figures of {unread}"
    if detail is not None and (seen.detail is None or seen.detail.key != detail):
        return f"detail of {detail}"
    beside = frame.detail_shown and not frame.zoomed and frame.item is not None
    return "the detail" if beside and _title(frame.item) not in deck.detail() else ""


def _title(item: Any) -> str:
    """What the detail of a row begins with; "" of what is no row."""
    return str(item.entry.title if hasattr(item, "entry") else getattr(item, "name", ""))


# The scenes: what a user does until the picture is taken


async def _row(deck: Deck, name: str, hint: str = "d shutdown") -> None:
    """Put the cursor on a row and wait until it rests there: the hints, which begin with `hint`, follow it then."""
    await deck.focus(name)
    await deck.until(lambda: _hints(deck).startswith(hint), f"hints of {name}")


def _hints(deck: Deck) -> str:
    return "".join(span.text for line in deck.app._hints.lines for span in line if span is not FILL)


async def _domains(deck: Deck) -> None:
    await _row(deck, "db-primary")


async def _overview(deck: Deck) -> None:
    await _row(deck, "db-primary")
    await deck.press("enter")


async def _vcpus(deck: Deck) -> None:
    await _overview(deck)
    await deck.press("]")


async def _memory(deck: Deck) -> None:
    await _overview(deck)
    await deck.press("]", "]")


async def _tuning(deck: Deck) -> None:
    await _overview(deck)
    await deck.press("]", "]", "]")


async def _pins(deck: Deck) -> None:
    await _row(deck, "db-primary")
    await deck.press("P", "l", "l", "space", "j", "v", "l", "l", "space")


async def _balloon(deck: Deck) -> None:
    await _row(deck, "gitlab")
    await deck.press("b")
    await deck.enter("amount", "+2G")
    await deck.expect_popup("Set memory gitlab")


async def _disks(deck: Deck) -> None:
    await _row(deck, "logs")
    await deck.press("enter", "]", "]", "]", "]")


async def _xml(deck: Deck) -> None:
    await _row(deck, "web-01")
    await deck.press("enter", "[")


async def _filter(deck: Deck) -> None:
    await deck.press("/")
    await deck.type("state:running cpu>50 mem>=4G -k8s")


async def _force_off(deck: Deck) -> None:
    await deck.press("/")
    await deck.type("web")
    await deck.press("enter", "*", "x")
    await deck.expect_popup("Force off 3 domains")


async def _palette(deck: Deck) -> None:
    await _row(deck, "db-replica")
    await deck.press(":")
    await deck.type("s")


async def _help(deck: Deck) -> None:
    await deck.press("?")


async def _journal(deck: Deck) -> None:
    await deck.mark("web-01", "web-02", "web-03")
    await deck.act("p", "Suspend 3 domains")
    await deck.undo_last()
    await deck.mark()
    await _row(deck, "db-staging", "s start")
    await deck.act("s", "Start db-staging")
    await _row(deck, "old-ftp", "s start")
    await deck.press("e")
    await deck.enter("name", "ftp-2019")
    await deck.confirm("Rename old-ftp")
    await _row(deck, "erp-prod")
    await deck.act("m", "Save erp-prod")
    await deck.press("7", "g")


async def _storage(deck: Deck) -> None:
    await deck.press("3", "G", "g", "0", "1", "0", "j")


async def _networks(deck: Deck) -> None:
    await deck.press("4", "j")


async def _interfaces(deck: Deck) -> None:
    await deck.press("5", "j", "j", "j")
    await deck.until(lambda: bool(deck.snapshot.link_usage), "rates")


async def _topology(deck: Deck) -> None:
    await deck.press("6")
    await deck.until(lambda: "br-lan" in deck.text(), "the drawing")


async def _triage(deck: Deck) -> None:
    await deck.press("1")
    await deck.until(lambda: bool(deck.snapshot.findings), "findings")


async def _lost(deck: Deck) -> None:
    """The connection as a daemon that was killed leaves it; the test driver has no daemon, so that it is told."""
    await _still(deck)
    collector = deck.app.collector
    collector.stop()
    lost = replace(
        collector.board.snapshot.connection,
        state=ConnectionState.LOST,
        since_ns=_NOON_NS - 8 * _SECOND_NS,
        problem="Failed to connect socket to '/var/run/libvirt/libvirt-sock': Connection refused",
    )
    collector.board.update(connection=lost, domains_read_ns=_NOON_NS - 9 * _SECOND_NS)
    await deck.until(lambda: deck.snapshot.connection.state is ConnectionState.LOST, "the connection is lost")


@dataclass(frozen=True, slots=True)
class Scene:
    """One picture: its file's name, the size of the terminal, and what a user does for it."""

    name: str
    size: tuple[int, int]
    play: Callable[[Deck], Awaitable[None]]


SCENES = (
    Scene("domains-80x24", NARROW, _domains),
    Scene("domains-120x40", USUAL, _domains),
    Scene("domains-200x60", WIDE, _domains),
    Scene("overview", NARROW, _overview),
    Scene("vcpus", NARROW, _vcpus),
    Scene("memory", NARROW, _memory),
    Scene("tuning", NARROW, _tuning),
    Scene("pins", NARROW, _pins),
    Scene("balloon", NARROW, _balloon),
    Scene("disks", NARROW, _disks),
    Scene("xml", NARROW, _xml),
    Scene("filter", USUAL, _filter),
    Scene("force-off", USUAL, _force_off),
    Scene("palette", NARROW, _palette),
    Scene("help", USUAL, _help),
    Scene("journal", USUAL, _journal),
    Scene("storage", USUAL, _storage),
    Scene("networks", USUAL, _networks),
    Scene("interfaces", USUAL, _interfaces),
    Scene("topology", USUAL, _topology),
    Scene("topology-200x60", WIDE, _topology),
    Scene("triage", USUAL, _triage),
    Scene("connection-lost", USUAL, _lost),
)


async def _picture(scene: Scene, uri: str) -> str:
    async with _deck(uri, scene.size) as deck:
        await scene.play(deck)
        await _still(deck)
        return slim(deck.app.export_screenshot(title="virtdeck --demo", simplify=True))


@contextmanager
def _scratch() -> Iterator[Path]:
    """A folder whose name is always the same, since commands in the pictures show it; raises FileExistsError."""
    folder = Path(tempfile.gettempdir()) / "virtdeck-demo"
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@contextmanager
def _held_still(home: Path) -> Iterator[None]:
    """Give the process a home of its own, the terminal that the pictures are of, and a clock at which it is noon."""
    for name in ("CONFIG", "STATE"):
        os.environ[f"XDG_{name}_HOME"] = str(home / name.lower())
    os.environ |= {"TZ": "UTC", "LC_ALL": "C.UTF-8", "TERM": "xterm-256color", "COLORTERM": "truecolor"}
    os.environ.pop("NO_COLOR", None)
    time.tzset()
    with mock.patch.multiple(time, time=lambda: _NOON_NS / _SECOND_NS, time_ns=lambda: _NOON_NS):
        yield


def main(arguments: Sequence[str]) -> int:
    """Write the pictures and return the exit status: 1 when another run holds the folder of the demo host."""
    parser = argparse.ArgumentParser(prog="python -m tests.tools.screenshots")
    parser.add_argument("--out", type=Path, default=Path("screenshots"), metavar="DIR", help="folder to write to")
    parser.add_argument("names", nargs="*", metavar="NAME", help="pictures to write (all)")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    try:
        with _scratch() as folder, _held_still(folder):
            uri = write_demo_host(folder)
            for scene in SCENES:
                if not options.names or scene.name in options.names:
                    svg = asyncio.run(_picture(scene, uri))
                    (options.out / f"{scene.name}.svg").write_text(svg, encoding="utf-8")
                    print(f"{scene.name}: {len(svg.encode()) // 1024} KiB")
    except FileExistsError as error:
        print(f"another run is using {error.filename}, or left it behind", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
