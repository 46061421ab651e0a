"""Names, titles, descriptions, paths and events that try to break a screen: what leaves for the terminal is taken
apart byte by byte, and every cell has the colours that it has for a harmless twin of the same width."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from textual import events
from textual.widgets import Input

from tests.terminal import Terminal
from tests.ui.conftest import OpenDeck
from tests.ui.strict import LeakError, taken_apart
from tests.ui.words import Deck, open_deck
from tui.demo import GUESTS
from tui.demo.hostile import ESCAPES, HOSTILE
from tui.model.domain import Domain
from tui.model.text import cells, clean
from tui.model.usage import DomainUsage
from tui.runtime.store import Store

CHECKOUT = Path(__file__).parents[2]

PRINTABLE = (
    "[red]x[bold]", "[@click=app.quit]boom[", "[link='https:e.x']l[", "a[]b[[c]]", "\\[bold\\]", "[$primary 50%]y",
    "{0}%s%(a)s$(reboot)`id`", "日本語サーバー-🐧", "ＡＢＣ全角", "le\u0308ad z\u0301\u0327\u0308", "x" * 120,
    "'; rm -rf ~ #", "&lt;b&gt;<b>",
)  # fmt: skip
"""Names that every terminal prints, but that markup, shells and formats read."""

OBEYED = (
    "\u009b31mred\u009b2J\u009b1;1H", "\u009d0;owned\u009c", "\u0090q\u009c\u009f1\u009c",
    "\u0084\u0085\u008d\u008fA", "\u007f\u007f", "\u202egpj.exe", "\u2066a\u2067b\u2068c\u2069",
    "\u200e\u200f\u061c", "\u200b\u200d\u2060\ufeff\u00ad", "a\u2028b\u2029c", "\U000e0041\U000e007f", "\u0301[first]",
    "🇩🇪👩🏽\u200d💻❤\ufe0f", "\ue000\U000f0000", "\ufdd0\ufff9\ufffa\ufffb", "\u3164\u115f\uffa0\u2800", "हिन्दी",
    "\u1112\u1161\u11ab", "a\tb\nc", "\u180b\u034f\u17b4",
)  # fmt: skip
"""Names that a terminal obeys, hides or measures its own way."""

RENAMED = (
    "\x1b[31mred\x1b[2J\x1b]0;owned\x07",
    "\x1bP1q\x1b\\\x1b_x\x1b\\\x1bc",
    "\x07\x08\x0b\x0c\x0e\x0f\x1a",
    "\x01\x1f",
)
"""What XML cannot hold and a rename can."""

LONGEST = 32


@dataclass(frozen=True, slots=True)
class Pair:
    """A hostile name and a harmless one that is as wide and is told apart by virsh in the same way."""

    hostile: str
    harmless: str


def _stand_in(char: str) -> str:
    if char == " ":
        return char
    safe = char.isascii() and (char.isalnum() or char in "@%+=:,./-_")
    return ("x" if safe else "'" if char == "'" else "*") * cells(char)


def pairs() -> Iterator[Pair]:
    """Names that sort alike: printable ones stay names in commands, the others give way to their UUID."""
    for number, evil in enumerate((*PRINTABLE, *OBEYED, *RENAMED)):
        head = f"a{number:02}"
        if evil.isprintable():
            yield Pair(head + evil, head + "".join(map(_stand_in, clean(head + evil)[len(head) :])))
            continue
        room = LONGEST - cells(clean(head + evil))
        yield Pair(head + evil + "b" * room, head + "b" * (LONGEST - len(head)))


PAIRS = tuple(pairs())


def twin_text(text: str) -> str:
    """A harmless text of the same width that breaks at the same blanks."""
    return "".join(map(_stand_in, clean(text)))


def node(names: Sequence[str], text_of: Callable[[str], str]) -> ET.Element:
    """A test driver's node whose domains carry the hostile texts in all that has room for them."""
    root = ET.Element("node")
    for number, (name, pair) in enumerate(zip(names, PAIRS, strict=True)):
        evil, title = text_of(xml_safe(pair.hostile)), xml_safe(text_of(pair.hostile)).replace("\n", "\t")
        domain = ET.SubElement(root, "domain", type="test")
        for tag, text in (
            ("name", name), ("uuid", f"00000000-0000-4000-8000-{number:012}"), ("title", title),
            ("description", f"{evil} {evil} {evil}"), ("memory", "1048576"), ("vcpu", "2"),
        ):  # fmt: skip
            ET.SubElement(domain, tag).text = text
        ET.SubElement(ET.SubElement(domain, "os"), "type").text = "hvm"
        devices = ET.SubElement(domain, "devices")
        disk = ET.SubElement(devices, "disk", type="file", device="disk")
        ET.SubElement(disk, "source", file=f"/images/{evil}")
        ET.SubElement(disk, "target", dev="vda", bus="virtio")
        nic = ET.SubElement(devices, "interface", type="bridge")
        ET.SubElement(nic, "mac", address=f"52:54:00:00:00:{number:02x}")
        ET.SubElement(nic, "source", bridge=evil)
        state = ET.SubElement(domain, "{http://libvirt.org/schemas/domain/test/1.0}runstate")
        state.text = "1" if number % 3 and xml_safe(pair.hostile) == pair.hostile else "5"
    return root


def xml_safe(text: str) -> str:
    """Leave out what XML 1.0 has no place for."""
    return "".join(char for char in text if char >= " " or char in "\t\n")


def write(folder: Path, file: str, root: ET.Element) -> str:
    """Write a node and return the URI that opens it."""
    ET.register_namespace("test", "http://libvirt.org/schemas/domain/test/1.0")
    ET.ElementTree(root).write(folder / file, encoding="utf-8")
    return f"test://{folder / file}"


def steady(_handle: Any, _domain: Domain, _before: DomainUsage | None, now_ns: int) -> DomainUsage:
    """Figures that are the same in every run."""
    nothing = dict.fromkeys(DomainUsage.__dataclass_fields__, 1)
    return DomainUsage(**{**nothing, "read_ns": now_ns, "vcpus": (), "disks": ()})  # type: ignore[arg-type]


@pytest.fixture
def hosts(tmp_path: Path) -> tuple[str, str]:
    """The URIs of a hostile host and of its harmless twin."""
    names = [xml_safe(pair.hostile) for pair in PAIRS]
    hostile = write(tmp_path, "hostile.xml", node(names, lambda text: text))
    return hostile, write(tmp_path, "twinned.xml", node([pair.harmless for pair in PAIRS], twin_text))


def rename_to_hostile(connection: Any) -> None:
    """Give the domains their names and titles that XML cannot hold."""
    for number, pair in enumerate(PAIRS):
        domain = connection.lookupByUUIDString(f"00000000-0000-4000-8000-{number:012}")
        if domain.name() != pair.hostile:
            domain.setMetadata(1, pair.hostile, None, None, 0)
            domain.rename(pair.hostile, 0)


# The parser itself


@pytest.mark.parametrize(
    "leak",
    ["\x1b]0;owned\x07", "\x1b[2J", "\x1b[?1h", "\x07", "\x9b31m", "\x7f", "\u202e", "\u2028", "\u200b", "\t", "\n",
     "\x1b", "a\r\nb"],
)  # fmt: skip
def test_the_parser_finds_what_must_not_leave(leak: str) -> None:
    taken_apart(b"\x1b[1;2mplain\r\n\x1b[3;4Hx\n\x1b[4;4H\x1b[?2026l")
    with pytest.raises(LeakError):
        taken_apart(f"plain{leak}text".encode())


def test_the_parser_wants_utf_8() -> None:
    with pytest.raises(LeakError):
        taken_apart(b"caf\xe9")


# Twins


TABS = ("overview", "disks", "nics", "events")
DIALOGS = ("D", "a")


async def visit(deck: Deck) -> list[tuple[str, list[Any]]]:
    """Look at the whole list, and at a tab or a dialog of every second row, and return how each place looked without
    the text; the bytes of each are taken apart."""
    looks: list[tuple[str, list[Any]]] = []

    async def look(place: str) -> None:
        await deck.until(lambda: deck.rested() and all(row.usage for row in deck.grid.visible_items if row.active))
        taken_apart(await written(deck))
        terminal = deck.screen.terminal
        cells_seen = [[cell[1:] for cell in row] for row in terminal.all_looks()]
        looks.append((place, list(zip(cells_seen, terminal.text(), strict=True))))

    await look("list")
    await deck.press("G")
    await look("end of the list")
    for number, key in enumerate([deck.list_frame.spec.key(item) for item in deck.grid.shown_items][::2]):
        deck.grid.go_to(key)
        await deck.until(deck.rested)
        if number % 2:
            deck.app.frame.open_tab(TABS[number // 2 % len(TABS)])
        else:
            await deck.press(DIALOGS[number // 2 % len(DIALOGS)])
        await look(f"row {number}")
        await deck.press("escape")
    return looks


async def written(deck: Deck) -> str:
    """What was written to the terminal since the last call."""
    await deck.screen.handled()
    data = "".join(deck.screen._unread)
    deck.screen._unread.clear()
    return data


async def test_all_looks_as_for_harmless_twins(hosts: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    # Some harmless names are the same, and so are the images that bear them: triage would rightly say so of one host.
    monkeypatch.setattr("tui.checks.CHECKS", ())
    # How often the figures have been read by now is no matter of names.
    monkeypatch.setattr(Store, "cpu_history", lambda _self, _key, length: (1.0,) * length)

    async def run(uri: str, prepare: Callable[[Any], None] | None) -> list[tuple[str, list[Any]]]:
        async with open_deck(uri, size=(80, 24), figures=steady, prepare=prepare) as deck:
            rows = deck.app.collector.control().listAllDomains()
            assert len(rows) == len(PAIRS)
            for domain, pair in zip(deck.grid.shown_items, PAIRS, strict=True):
                expected = pair.hostile if prepare else pair.harmless
                assert domain.name == clean(domain.domain.raw_name)
                assert domain.domain.raw_name == expected
            return await visit(deck)

    hostile, twin = hosts
    for (place, seen), (_, wanted) in zip(await run(hostile, rename_to_hostile), await run(twin, None), strict=True):
        for (row, text), (other, other_text) in zip(seen, wanted, strict=True):
            assert row == other, f"{place}:\n{text}\n{other_text}"


# Leaks


async def test_nothing_leaks_from_any_name_wherever_it_is_shown(hosts: tuple[str, str]) -> None:
    async with open_deck(hosts[0], size=(80, 24), figures=steady, prepare=rename_to_hostile) as deck:
        for handle, pair in zip(sorted_handles(deck), PAIRS, strict=True):
            deck.app.collector.poller.desk.events._handler("DEVICE_ADDED")(None, handle, pair.hostile)
        await deck.settle()
        for key in [deck.list_frame.spec.key(item) for item in deck.grid.shown_items]:
            deck.grid.go_to(key)
            await deck.screen.handled()
            for tab in ("overview", "disks", "nics", "events"):
                deck.app.frame.open_tab(tab)
                await deck.screen.handled()
            deck.app.frame.zoom(False)
            taken_apart(await written(deck))
        for pair in PAIRS[::6]:
            await deck.focus(pair.hostile)
            deck.app.frame.open_tab("xml")
            await deck.until(lambda: "</domain>" in deck.detail())
            deck.app.frame.zoom(False)
            taken_apart(await written(deck))


def sorted_handles(deck: Deck) -> list[Any]:
    """The libvirt handles of the domains in the order of PAIRS."""
    return sorted(deck.app.collector.control().listAllDomains(), key=lambda handle: str(handle.UUIDString()))


async def test_dialogs_toasts_palette_and_journal_keep_names_in(hosts: tuple[str, str]) -> None:
    async with open_deck(hosts[0], size=(100, 30), figures=steady, prepare=rename_to_hostile, toasts=True) as deck:
        off = [item.domain.raw_name for item in deck.grid.shown_items if not item.active]
        for name in (off[1], off[5], *(pair.hostile for pair in PAIRS[-len(RENAMED) :])):
            await deck.focus(name)
            for key in ("e", "t", "D", "s", ":"):
                await deck.press(key)
                assert len(deck.app.screen_stack) == 2, key
                await deck.press("escape")
            await deck.act("s", "Start ")
            await deck.expect_toast(clean(name)[:10])
            await deck.act("a", "Autostart ")
            taken_apart(await written(deck))
        deck.grid.set_marks([deck.list_frame.spec.key(item) for item in deck.grid.shown_items])
        for key in ("x", "D", "a", "p"):
            await deck.press(key)
            await deck.press("G", "escape")
        await deck.press("escape", "/")
        await deck.type("name:[@click")
        assert len(deck.rows()) == 1
        await deck.press("escape", "7")
        for _ in range(4):
            await deck.press("enter", "escape", "j")
        taken_apart(await written(deck))


async def test_a_rename_offers_the_name_as_it_is_shown(hosts: tuple[str, str]) -> None:
    async with open_deck(hosts[0], figures=steady, prepare=rename_to_hostile) as deck:
        name = PAIRS[-1].hostile
        await deck.focus(name)
        await deck.press("e")
        assert deck.dialog.query_one("#field-name", Input).value == clean(name)
        await deck.press("enter")
        await deck.until(lambda: clean(name) in deck.names())
        await deck.undo_last()
        await deck.until(lambda: name in deck.names())


async def test_what_is_pasted_cannot_be_obeyed_either(demo: OpenDeck) -> None:
    pasted = "web\u202eb\u009b31m\u2028\x1b[31my\nsecond line"
    async with demo() as deck:
        for key in ("/", ":", "n"):
            await deck.press(key)
            deck.send(events.Paste(pasted))
            await deck.settle()
            field = deck.app.focused
            assert isinstance(field, Input)
            assert field.value == "web�b�31m�␛[31my"
            taken_apart(await written(deck))
            await deck.press("escape")


async def test_a_click_on_a_name_fires_nothing(demo: OpenDeck) -> None:
    async with demo(size=(80, 24), toasts=True) as deck:
        await deck.focus("[@click=app.quit]boom")
        await click_on_all(deck, "[@click=app")
        deck.app.frame.zoom(True)
        await click_on_all(deck, "[@click=app")
        deck.app.frame.zoom(False)
        await deck.press("p")
        await deck.expect_popup("Suspend [@click=app.quit]boom")
        await click_on_all(deck, "[@click=app")
        assert deck.dialog.is_current
        await deck.confirm("Suspend [@click=app.quit]boom")
        await deck.expect_toast("Suspend [@click=app.quit]boom: done")
        await click_on_all(deck, "Suspend [@click=app.quit]boom: done")
        assert deck.app.return_code is None
        assert len(deck.app.journal.entries()) == 1


async def click_on_all(deck: Deck, text: str) -> None:
    """Click on every third cell of a text, wherever it is on the screen."""
    await deck.until(lambda: text in deck.text(), text)
    places = [(match.start(), y) for y, line in enumerate(deck.lines()) for match in re.finditer(re.escape(text), line)]
    assert places
    for x, y in places:
        for offset in range(0, 18, 3):
            for kind in (events.MouseDown, events.MouseUp):
                deck.send(kind(None, x + offset, y, 0, 0, 1, shift=False, meta=False, ctrl=False))
            await deck.screen.handled()
    await deck.settle()


# Snapshots of domains, whose names libvirt takes from whoever makes them


async def test_names_of_snapshots(demo: OpenDeck) -> None:
    async with demo() as deck:
        handle = deck.app.collector.control().lookupByName("web-04")
        for number, pair in enumerate(PAIRS):
            root = ET.Element("domainsnapshot")
            ET.SubElement(root, "name").text = xml_safe(pair.hostile).replace("\n", " ")
            ET.SubElement(root, "description").text = f"{number}"
            handle.snapshotCreateXML(ET.tostring(root, encoding="unicode"), 0)
        await deck.focus("web-04")
        deck.app.frame.open_tab("snapshots")
        await deck.until(lambda: "a36" in deck.detail())
        taken_apart(await written(deck))


# The real program in a terminal


def program(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "tui", *arguments]


@pytest.fixture
def environment(home: Path) -> dict[str, str]:
    """What the program is started with: folders of the test's own."""
    return {
        "XDG_STATE_HOME": str(home / "state"),
        "XDG_CONFIG_HOME": str(home / "config"),
        "PYTHONPATH": str(CHECKOUT),
        "LC_ALL": "C.UTF-8",
    }


def back(term: Terminal, shown: str) -> None:
    """Press escape and wait until `shown` is gone: terminals tell escape from alt by the pause behind it. What is still
    being laid out might be gone for a moment before."""
    term.wait_quiet(0.1)
    term.press("escape")
    term.wait_for(lambda term: shown not in term.text())


def walk(term: Terminal, name: str) -> None:
    """Filter to a name, open what shows it, and leave it again."""
    term.press("/")
    term.type(name)
    term.wait_for(r"1/1 \(")
    term.press("enter", "enter", *"]]]]]]]]]")
    term.wait_for(r"Snapshots Events XML\n(.*\n)*Guest agent")
    back(term, "Snapshots Events XML")
    for key, shown in (("t", "esc cancel"), ("D", "esc cancel"), (":", "esc closes"), ("?", "esc close")):
        term.press(key)
        term.wait_for(shown)
        back(term, shown)
    back(term, "1/1 (")


def test_the_demo_host_in_a_terminal(environment: dict[str, str]) -> None:
    with Terminal(program("--demo"), 90, 30, env=environment, cwd="/") as term:
        term.wait_for("gitlab")
        for name in ("@click", "csi", "esc"):
            walk(term, name)
        term.press("/")
        term.type("@click")
        term.wait_for(r"1/1 \(")
        term.press("enter")
        x, y = term.find("[@click")
        for offset in range(12):
            term.click(x + offset, y)
        term.wait_quiet()
        if "Snapshots Events XML" in term.text():  # two clicks in quick succession open the detail
            back(term, "Snapshots Events XML")
        back(term, "1/1 (")
        term.press("q")
        assert term.exit() == 0
        shown = taken_apart(term.bytes_since()).text
    for name in ("csi\N{REPLACEMENT CHARACTER}31mred", "esc␛[31mred", "[@click=app.quit]boom"):
        assert name in shown


def test_a_hostile_host_in_a_terminal(hosts: tuple[str, str], environment: dict[str, str]) -> None:
    with Terminal(program("-c", hosts[0]), 90, 40, env=environment, cwd="/") as term:
        term.wait_for("● live")
        term.wait_for("a05")
        term.press("0", "5", "j", "enter", *"]]]]]]]]")
        term.wait_for("</domain>|<uuid>")
        back(term, "Snapshots Events XML")
        term.press("G", "*", "D")
        term.wait_for("esc cancel")
        back(term, "esc cancel")
        term.press("q")
        assert term.exit() == 0
        taken_apart(term.bytes_since())


# Reports


def test_reports_keep_names_in_and_json_gives_them_back(hosts: tuple[str, str], environment: dict[str, str]) -> None:
    wanted = {xml_safe(pair.hostile) for pair in PAIRS}
    table = report(["-c", hosts[0], "domains"], environment)
    for line in table.decode().splitlines():
        taken_apart(line)
    for arguments in (["domains", "--json"], ["snapshot", "--json"]):
        data = report(["-c", hosts[0], *arguments], environment)
        taken_apart(data.replace(b"\n", b""))
        parsed = json.loads(data)
        domains = parsed["domains"] if isinstance(parsed["domains"], list) else parsed["domains"].values()
        assert {domain["raw_name"] for domain in domains} == wanted
        assert {domain["name"] for domain in domains} == {clean(name) for name in wanted}


def test_the_demo_host_in_reports(environment: dict[str, str]) -> None:
    raw = {ESCAPES.get(guest.name, (guest.name,))[0] for guest in GUESTS}
    assert len(HOSTILE) > 10
    for arguments in (["--demo", "domains", "--json"], ["--demo", "snapshot"]):
        data = report(arguments, environment)
        taken_apart(data.replace(b"\n", b""))
        parsed = json.loads(data)
        domains = parsed["domains"] if isinstance(parsed["domains"], list) else parsed["domains"].values()
        assert {domain["raw_name"] for domain in domains} == raw
    for line in report(["--demo", "domains"], environment).decode().splitlines():
        taken_apart(line)


def report(arguments: list[str], environment: dict[str, str]) -> bytes:
    """What a command prints; it must succeed and say nothing else."""
    done = subprocess.run(program(*arguments), capture_output=True, env=environment, cwd="/", timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stderr == b""
    return done.stdout
