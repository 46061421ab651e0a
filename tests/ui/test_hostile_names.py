"""Names, titles, descriptions, paths and events that try to break a screen: what leaves for the terminal is taken
apart byte by byte, and every cell has the colours that it has for a harmless twin of the same width."""

from __future__ import annotations

import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.terminal import Terminal
from tests.ui.conftest import OpenDeck
from tests.ui.strict import LeakError, taken_apart
from tests.ui.words import Deck, open_deck
from tui.demo import GUESTS
from tui.demo.hostile import ESCAPES, HOSTILE
from tui.model.domain import Domain
from tui.model.domain_detail import DomainSnapshot
from tui.model.text import cells, clean
from tui.model.usage import DomainUsage

CHECKOUT = Path(__file__).parents[2]

PRINTABLE = (
    "[red]x[bold]", "[@click=app.quit]boom[", "[link='https:e.x']l[", "a[]b[[c]]", "\\[bold\\]", "[$primary 50%]y",
    "{0}%s%(a)s$(reboot)`id`", "日本語サーバー-🐧", "ＡＢＣ全角", "le\u0308ad z\u0301\u0327\u0308", "x" * 120,
    "'; rm -rf ~ #", "&lt;b&gt;<b>",
)  # fmt: skip
"""Names that every terminal prints, but that markup, shells and formats read."""

OBEYED = (
    "\u009b31mred\u009b2J\u009b1;1H", "\u009d0;owned\u009c", "\u0090q\u009c\u009f1\u009c", "\u0084\u0085\u008d\u008fA",
    "\u007f\u007f", "\u202egpj.exe", "\u2066a\u2067b\u2068c\u2069", "\u200e\u200f\u061c", "\u200b\u200d\u2060\ufeff\u00ad",
    "a\u2028b\u2029c", "\U000e0041\U000e007f", "\u0301first", "🇩🇪👩🏽‍💻❤️", "\ue000\U000f0000", "\ufdd0\ufff9\ufffa\ufffb",
    "\u3164\u115f\uffa0\u2800", "हिन्दी", "\u1112\u1161\u11ab", "a\tb\nc", "\u180b\u034f\u17b4",
)  # fmt: skip
"""Names that a terminal obeys, hides or measures its own way."""

RENAMED = ("\x1b[31mred\x1b[2J\x1b]0;owned\x07", "\x1bP1q\x1b\\\x1b_x\x1b\\\x1bc", "\x07\x08\x0b\x0c\x0e\x0f\x1a", "\x01\x1f")
"""What XML cannot hold and a rename can."""

LONGEST = 34


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
        if evil in PRINTABLE:
            yield Pair(head + evil, head + "".join(map(_stand_in, clean(evil))))
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
        evil = text_of(xml_safe(pair.hostile))
        domain = ET.SubElement(root, "domain", type="test")
        for tag, text in (
            ("name", name), ("uuid", f"00000000-0000-4000-8000-{number:012}"), ("title", evil.replace("\n", "\t")),
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
    nothing = {name: 1 for name in DomainUsage.__dataclass_fields__}
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
    ["\x1b]0;owned\x07", "\x1b[2J", "\x1b[?1h", "\x07", "\x9b31m", "\x7f", "\u202e", "\u2028", "\u200b", "\t", "\n", "\x1b", "a\r\nb"],
)
def test_the_parser_finds_what_must_not_leave(leak: str) -> None:
    taken_apart(b"\x1b[1;2mplain\r\n\x1b[3;4Hx\n\x1b[4;4H\x1b[?2026l")
    with pytest.raises(LeakError):
        taken_apart(f"plain{leak}text".encode())


def test_the_parser_wants_utf_8() -> None:
    with pytest.raises(LeakError):
        taken_apart(b"caf\xe9")


# Twins


TABS = ("overview", "disks", "nics", "events")
DIALOGS = ("D", "a", "t")


async def visit(deck: Deck) -> list[tuple[str, list[Any]]]:
    """Open what shows names, a tab and a dialog in turn for each row, and return how each place looked without the
    text; the bytes of each are taken apart."""
    looks: list[tuple[str, list[Any]]] = []

    async def look(place: str) -> None:
        await deck.until(lambda: deck.rested() and all(row.usage for row in deck.grid.visible_items if row.active))
        taken_apart(await written(deck))
        looks.append((place, [[cell[1:] for cell in row] for row in deck.screen.terminal.all_looks()]))

    await look("list")
    await deck.press("G")
    await look("end of the list")
    for number, key in enumerate([deck.app.pane.key(item) for item in deck.grid.shown_items]):
        deck.grid.go_to(key)
        await deck.settle()
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


async def test_all_looks_as_for_harmless_twins(hosts: tuple[str, str]) -> None:
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
        differing = [y for y, (row, other) in enumerate(zip(seen, wanted, strict=True)) if row != other]
        assert differing == [], f"{place}: lines {differing}"
