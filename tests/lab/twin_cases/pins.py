"""Cases of tests/lab/test_twins.py: pins."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from tests.lab.actions import Seen
from tests.lab.domain import element, text
from tests.lab.twins import Case, Make, Twin

FREE = {"emulator": "0-1", "CPU 0": "0-1", "CPU 1": "0-1", "IO iothread1": "0-1", "IO iothread2": "0-1"}
"""The threads of the domain and where they run unpinned."""

_EVERYWHERE = re.compile(r"\s*<(vcpupin|emulatorpin|iothreadpin)( \w+='\d+')? cpuset='0-1'/>")
_EMPTY = re.compile(r"\s*<cputune>\s*</cputune>")


def threads_xml(twin: Twin, placement: str = "") -> str:
    """A domain of two vCPUs and one that can be plugged, and two I/O threads."""
    root = twin.xml()
    vcpu = root.find("vcpu")
    assert vcpu is not None
    vcpu.text = "3"
    vcpu.set("current", "2")
    if placement:
        vcpu.set("cpuset", placement)
    root.append(element("iothreads", text="2"))
    # libvirt writes the ids of its own from the first pin on.
    root.append(element("iothreadids", element("iothread", id="1"), element("iothread", id="2")))
    return text(root)


def threaded(*, start: bool = True, transient: bool = False, placement: str = "") -> Make:
    """The domain, running or off."""

    def make(twin: Twin) -> None:
        with twin.lab.connect() as connection:
            if transient:
                connection.createXML(threads_xml(twin, placement), 0)
                return
            made = connection.defineXML(threads_xml(twin, placement))
            if start:
                made.create()

    return make


def pinned(twin: Twin) -> None:
    """The running domain with other pins now than from its next boot on."""
    threaded()(twin)
    for words in (
        ("vcpupin", "0", "1", "--live"),
        ("vcpupin", "0", "0", "--config"),
        ("emulatorpin", "0", "--live"),
        ("iothreadpin", "2", "1", "--live"),
        ("iothreadpin", "2", "1", "--config"),
    ):
        twin.virsh(words[0], *words[1:])


def came_to(*lines: str, live: bool = True, config: bool = True, **threads: str) -> Callable[[Seen], bool]:
    """Whether elements are in the live XML, the persistent one, and these threads run where they should, by names as
    in `vcpu0`, `emulator`, `iothread1`; all others everywhere."""
    places = {
        re.sub(r"^vcpu", "CPU ", re.sub(r"^iothread", "IO iothread", name)): cpus for name, cpus in threads.items()
    }

    def reached(seen: Seen) -> bool:
        sides = all((line in seen.live, line in seen.config) == (live, config) for line in lines)
        there = {name: cpus for name, cpus in seen.affinities if name != "IO mon_iothread"}
        return sides and there == ({**FREE, **places} if seen.live else {})

    return reached


def unpinned(seen: Seen) -> Seen:
    """All but pins that leave out no CPU, which libvirt keeps in the place of those that were taken away."""
    live, config = (_EMPTY.sub("", _EVERYWHERE.sub("", xml)) for xml in (seen.live, seen.config))
    return replace(seen, live=live, config=config)


_VCPU = "<vcpupin vcpu='0' cpuset='0'/>"

CASES: tuple[Case, ...] = (
    Case(
        "domain.pin", "vcpu", threaded(), came_to(_VCPU, vcpu0="0"), {"pins": "vcpu 0=0"},
        undo=True, forgiven=unpinned,
    ),
    Case(
        "domain.pin", "emulator", threaded(), came_to("<emulatorpin cpuset='1'/>", emulator="1"),
        {"pins": "emulator=1"}, undo=True, forgiven=unpinned,
    ),
    Case(
        "domain.pin", "iothread", threaded(), came_to("<iothreadpin iothread='2' cpuset='1'/>", iothread2="1"),
        {"pins": "iothread 2=1"}, undo=True, forgiven=unpinned,
    ),
    Case(
        "domain.pin", "all-threads", threaded(),
        came_to(_VCPU, vcpu0="0", vcpu1="0", emulator="1", iothread1="1", iothread2="1"),
        {"pins": "vcpu *=0; emulator=1; iothread *=1"}, undo=True, forgiven=unpinned,
    ),
    Case(
        "domain.pin", "not-plugged", threaded(), came_to("<vcpupin vcpu='2' cpuset='1'/>"), {"pins": "vcpu 2=1"},
        undo=True, forgiven=unpinned,
    ),
    Case(
        "domain.pin", "live", threaded(), came_to(_VCPU, config=False, vcpu0="0"),
        {"pins": "vcpu 0=0", "where": "live"}, undo=True, forgiven=unpinned,
    ),
    Case(
        "domain.pin", "persistent", threaded(), came_to(_VCPU, live=False),
        {"pins": "vcpu 0=0", "where": "persistent"}, undo=True, forgiven=unpinned,
    ),
    Case(
        "domain.pin", "off", threaded(start=False), came_to(_VCPU, live=False), {"pins": "vcpu 0=0"},
        undo=True, forgiven=unpinned,
    ),
    Case(
        "domain.pin", "transient", threaded(transient=True), came_to(_VCPU, config=False, vcpu0="0"),
        {"pins": "vcpu 0=0"}, undo=True, forgiven=unpinned,
    ),
    Case(
        "domain.pin", "unpin", pinned, came_to(emulator="0-1"),
        {"pins": "vcpu 0=all; emulator=all; iothread *=all"}, undo=True, forgiven=unpinned,
    ),
    Case(
        "domain.pin", "other-side", pinned, came_to(_VCPU, vcpu0="0", emulator="0", iothread2="1"),
        {"pins": "vcpu 0=0"}, undo=True, forgiven=unpinned,
    ),
    Case(
        "domain.pin", "placement", threaded(placement="0"),
        came_to(
            "<vcpupin vcpu='0' cpuset='1'/>",
            emulator="0", vcpu0="1", vcpu1="0", iothread1="0", iothread2="0",
        ),
        {"pins": "vcpu 0=1"}, undo=True,
        forgiven=lambda seen: replace(seen, live="", config=""),
    ),
)  # fmt: skip
