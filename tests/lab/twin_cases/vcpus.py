"""Cases of tests/lab/test_twins.py: vcpus."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from xml.etree import ElementTree as ET

from tests.lab.actions import Seen
from tests.lab.domain import element, text
from tests.lab.twins import Case, Make, Twin
from tui.model.cpuset import parse_cpus


def shaped(
    count: int = 2,
    maximum: int = 4,
    *,
    topology: str = "",
    cells: Sequence[str] = (),
    slots: str = "",
    pins: Sequence[int] = (),
) -> Callable[[Twin], ET.Element]:
    """The XML of a domain with so many vCPUs; `topology` as sockets:dies:cores:threads, `cells` the vCPUs of each NUMA
    cell, `slots` a letter for each vCPU: y plugged, h plugged and hotpluggable, n not plugged."""

    def xml(twin: Twin) -> ET.Element:
        root = twin.xml()
        vcpu, features = root.find("vcpu"), root.find("features")
        assert vcpu is not None
        assert features is not None
        vcpu.text = str(maximum)
        vcpu.set("current", str(count))
        if slots:
            root.insert(list(root).index(vcpu) + 1, element("vcpus", *map(_slot, enumerate(slots))))
        if pins:
            tune = [element("vcpupin", vcpu=str(number), cpuset="0") for number in pins]
            root.insert(list(root).index(features), element("cputune", *tune))
        if topology or cells:
            root.insert(list(root).index(features) + 1, element("cpu", *_cpu(topology, cells)))
        return root

    return xml


def _slot(numbered: tuple[int, str]) -> ET.Element:
    number, letter = numbered
    enabled, hotpluggable = {"y": ("yes", "no"), "h": ("yes", "yes"), "n": ("no", "yes")}[letter]
    return element("vcpu", id=str(number), enabled=enabled, hotpluggable=hotpluggable)


def _cpu(topology: str, cells: Sequence[str]) -> list[ET.Element]:
    parts = []
    if topology:
        names = ("sockets", "dies", "cores", "threads")
        parts.append(element("topology", **dict(zip(names, topology.split(":"), strict=True))))
    if cells:
        made = [
            element("cell", id=str(number), cpus=cpus, memory=str(16 // len(cells)), unit="MiB")
            for number, cpus in enumerate(cells)
        ]
        parts.append(element("numa", *made))
    return parts


def off(xml: Callable[[Twin], ET.Element]) -> Make:
    """The domain, off."""

    def make(twin: Twin) -> None:
        twin.lab.define(xml(twin))

    return make


def running(xml: Callable[[Twin], ET.Element]) -> Make:
    """The domain, running; nothing in it can give up a vCPU."""

    def make(twin: Twin) -> None:
        twin.lab.define(xml(twin), start=True)

    return make


def transient(xml: Callable[[Twin], ET.Element]) -> Make:
    """The domain, running and without persistent configuration."""

    def make(twin: Twin) -> None:
        with twin.lab.connect() as connection:
            connection.createXML(text(xml(twin)), 0)

    return make


def guest(twin: Twin) -> None:
    """A real guest with three vCPUs and an agent."""
    twin.lab.define_guest(twin.name, vcpus=3, vcpus_max=4, agent=True)


def online(twin: Twin) -> str:
    """The vCPUs that the guest itself has online, by its agent."""
    with twin.lab.connect() as connection:
        return str(len(parse_cpus(connection.lookupByName(twin.name).guestVcpus(0)["online"])))


def counts(*, live: str = "", config: str = "") -> Callable[[Seen], bool]:
    """Whether there are so many vCPUs, as in 3/4 for three of four at most; "" where there is no such side."""
    return lambda seen: (_counted(seen.live), _counted(seen.config)) == (live, config)


def _counted(xml: str) -> str:
    if not xml:
        return ""
    vcpu = ET.fromstring(xml).find("vcpu")
    assert vcpu is not None
    return f"{vcpu.get('current', vcpu.text)}/{vcpu.text}"


def slots(config: str, live: str = "") -> Callable[[Seen], bool]:
    """Whether those vCPUs are plugged, a letter for each as in `shaped`; "" for a side that is not looked at."""

    def reached(seen: Seen) -> bool:
        return all(not wanted or _letters(xml) == wanted for xml, wanted in ((seen.config, config), (seen.live, live)))

    return reached


def _letters(xml: str) -> str:
    found = ET.fromstring(xml).findall("vcpus/vcpu")
    return "".join("n" if slot.get("enabled") == "no" else "hy"[slot.get("hotpluggable") == "no"] for slot in found)


def has(*words: str) -> Callable[[Seen], bool]:
    """Whether the persistent XML holds all that."""
    return lambda seen: all(word in seen.config for word in words)


def unlisted(seen: Seen) -> Seen:
    """All but the list of the vCPUs, which libvirt writes once it was needed, whatever is in it."""
    return replace(seen, config=re.sub(r"\s*<vcpus>.*?</vcpus>", "", seen.config, flags=re.DOTALL))


_PLAIN = shaped()
_HOLED = shaped(2, 4, slots="ynhn")

CASES: tuple[Case, ...] = (
    Case("domain.vcpus-more", "off", off(_PLAIN), counts(config="3/4"), undo=True),
    Case("domain.vcpus-more", "holes", off(_HOLED), slots("yyhn"), undo=True),
    Case("domain.vcpus-more", "both", running(_PLAIN), counts(live="3/4", config="3/4"), undo=True, taken_back=False),
    Case("domain.vcpus-more", "transient", transient(_PLAIN), counts(live="3/4"), undo=True, taken_back=False),
    Case("domain.vcpus-fewer", "off", off(_PLAIN), counts(config="1/4"), undo=True),
    Case("domain.vcpus-fewer", "hotpluggable", off(_HOLED), slots("ynnn"), undo=True),
    Case("domain.vcpus-fewer", "booted", running(_PLAIN), counts(live="2/4", config="1/4"), undo=True),
    Case(
        "domain.vcpus", "both", running(_PLAIN), counts(live="4/4", config="4/4"), {"count": "4"}, undo=True,
        taken_back=False,
    ),
    Case(
        "domain.vcpus", "live", running(_PLAIN), counts(live="3/4", config="2/4"), {"count": "3", "where": "live"},
        undo=True, taken_back=False,
    ),
    Case(
        "domain.vcpus", "persistent", running(_PLAIN), counts(live="2/4", config="1/4"),
        {"count": "1", "where": "persistent"}, undo=True,
    ),
    Case("domain.vcpus", "mixed", off(shaped(3, 4, slots="yyhn")), slots("ynnn"), {"count": "1"}, undo=True),
    Case(
        "domain.vcpus", "agent", guest, lambda seen: seen.also == "1", {"count": "1", "via": "agent"}, undo=True,
        named=False, also=online,
    ),
    Case("domain.vcpus-max", "raised", off(_PLAIN), counts(config="2/6"), {"maximum": "6"}, undo=True),
    Case("domain.vcpus-max", "running", running(_PLAIN), counts(live="2/4", config="2/8"), {"maximum": "8"}, undo=True),
    Case("domain.vcpus-max", "lowered", off(shaped(4, 4)), counts(config="2/2"), {"maximum": "2"}, undo=True),
    Case(
        "domain.vcpus-max", "pins", off(shaped(4, 4, pins=(0, 3))), counts(config="2/2"), {"maximum": "2"}, undo=True,
    ),
    Case("domain.vcpus-max", "listed", off(_HOLED), slots("yn"), {"maximum": "2"}, undo=True),
    Case(
        "domain.vcpus-max", "proposed", off(shaped(2, 4, topology="2:1:2:1")), has("sockets='4' dies='1' cores='2'"),
        {"maximum": "8"}, undo=True,
    ),
    Case(
        "domain.vcpus-max", "topology", off(_PLAIN), has("<topology sockets='2' dies='1' cores='2' threads='2'/>"),
        {"maximum": "8", "topology": "2:1:2:2"}, undo=True,
    ),
    Case(
        "domain.vcpus-max", "cells", off(shaped(4, 4, cells=("0-1", "2-3"))),
        has("<cell id='0' cpus='0-1'", "<cell id='1' cpus='2'"), {"maximum": "3"}, undo=True,
    ),
    Case(
        "domain.vcpus-max", "more-cells", off(shaped(4, 4, cells=("0-1", "2-3"), topology="4:1:1:1")),
        has("cpus='0-1,4-5'", "sockets='6'"), {"maximum": "6"}, undo=True,
    ),
    Case(
        "domain.vcpu-set", "on", running(_PLAIN), slots("", "yynh"), {"vcpus": "3", "where": "live"}, undo=True,
        taken_back=False,
    ),
    Case(
        "domain.vcpu-set", "both", running(_PLAIN), slots("yynh", "yynh"), {"vcpus": "3"}, undo=True, taken_back=False,
    ),
    Case(
        "domain.vcpu-set", "persistent-on", off(_PLAIN), slots("yyhh"), {"vcpus": "2-3", "where": "persistent"},
        undo=True, forgiven=unlisted,
    ),
    Case(
        "domain.vcpu-set", "off", off(shaped(3, 4, slots="yhhn")), slots("ynhn"), {"vcpus": "1", "state": "off"},
        undo=True,
    ),
    Case("domain.vcpu-set", "booted-off", off(_PLAIN), slots("ynnn"), {"vcpus": "1", "state": "off"}, undo=True,
         forgiven=unlisted),
)  # fmt: skip
