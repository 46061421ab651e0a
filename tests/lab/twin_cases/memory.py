"""Cases of tests/lab/test_twins.py: memory."""

from __future__ import annotations

import re
from collections.abc import Callable

from tests.lab.actions import Seen
from tests.lab.domain import Shape, blank_xml, element, guest_xml
from tests.lab.guest import READY, guest_image
from tests.lab.namespaces import wait_until
from tests.lab.twins import Case, Make, Twin

_MIB = 1024
MAXIMUM_MIB = 128


def ballooned(*, start: bool = False, now_mib: int = MAXIMUM_MIB, period: int = 0, model: str = "virtio") -> Make:
    """A domain with nothing to boot and a balloon device; with `start` it runs."""

    def make(twin: Twin) -> None:
        root = blank_xml(Shape(name=twin.name, memory_mib=MAXIMUM_MIB, machine="pc"), twin.lab.emulator)
        uuid, device = root.find("uuid"), root.find("devices/memballoon")
        assert uuid is not None
        assert device is not None
        uuid.text = twin.uuid
        device.set("model", model)
        if period:
            device.append(element("stats", period=str(period)))
        root.append(element("currentMemory", text=str(now_mib), unit="MiB"))
        twin.lab.define(root, start=start)

    return make


def guest(now_mib: int = MAXIMUM_MIB) -> Make:
    """A guest that runs and obeys its balloon."""

    def make(twin: Twin) -> None:
        log = twin.lab.root / "console" / f"{twin.uuid}.log"
        root = guest_xml(Shape(name=twin.name, memory_mib=MAXIMUM_MIB), guest_image(), twin.lab.emulator, log)
        uuid = root.find("uuid")
        assert uuid is not None
        uuid.text = twin.uuid
        root.append(element("currentMemory", text=str(now_mib), unit="MiB"))
        twin.lab.define(root, start=True)
        wait_until(lambda: log.exists() and READY in log.read_text(errors="replace"), "the guest to boot", timeout=90)
        wait_until(lambda: has(now=now_mib)(twin.seen()), "the balloon to be where it boots", timeout=30)

    return make


def has(*, now: int | None = None, later: int | None = None, most: int | None = None) -> Callable[[Seen], bool]:
    """Whether it has so many MiB now and at its next boot, at most so many then; None: whatever it has."""
    wanted = (("live", "currentMemory", now), ("config", "currentMemory", later), ("config", "memory", most))

    def reached(seen: Seen) -> bool:
        return all(f"<{tag} unit='KiB'>{mib * _MIB}</{tag}>" in getattr(seen, side) for side, tag, mib in wanted if mib)

    return reached


def reports(live: int | None, config: int | None) -> Callable[[Seen], bool]:
    """Whether statistics are asked for every so many seconds on each side; None: not at all."""

    def reached(seen: Seen) -> bool:
        found = [re.search(r"<stats period='(\d+)'/>", xml) for xml in (seen.live, seen.config)]
        return [int(match[1]) if match else None for match in found] == [live, config]

    return reached


CASES: tuple[Case, ...] = (
    Case("domain.memory", "both", guest(), has(now=112, later=112), {"amount": "-16M", "where": "both"}, undo=True),
    Case("domain.memory", "live", guest(), has(now=96, later=128), {"amount": "75%", "where": "live"}, undo=True),
    Case(
        "domain.memory", "persistent", ballooned(start=True), has(now=128, later=96),
        {"amount": "96M", "where": "persistent"}, undo=True,
    ),
    Case("domain.memory", "off", ballooned(now_mib=64), has(later=100), {"amount": "+36M"}, undo=True),
    Case("domain.memory-more", "guest", guest(96), has(now=112, later=112), undo=True),
    Case("domain.memory-more", "off", ballooned(now_mib=120), has(later=128), undo=True),
    Case("domain.memory-less", "guest", guest(), has(now=112, later=112), undo=True),
    Case("domain.memory-less", "off", ballooned(now_mib=72), has(later=64), undo=True),
    Case("domain.memory-max", "up", ballooned(), has(later=128, most=256), {"maximum": "200%"}, undo=True),
    Case("domain.memory-max", "down", ballooned(), has(later=96, most=96), {"maximum": "96M"}, undo=True),
    Case(
        "domain.memory-max", "running", ballooned(start=True), has(now=128, later=128, most=192),
        {"maximum": "+64M"}, undo=True,
    ),
    Case("domain.memory-max", "no-balloon", ballooned(model="none"), has(most=256), {"maximum": "256M"}, undo=True),
    Case(
        "domain.memory-max", "no-balloon-down", ballooned(model="none"), has(later=96, most=96),
        {"maximum": "96M"}, undo=True,
    ),
    Case(
        "domain.memory-stats", "on", ballooned(start=True), reports(2, 2), {"period": "2", "where": "both"}, undo=True,
    ),
    Case(
        "domain.memory-stats", "live", ballooned(start=True, period=7), reports(None, 7),
        {"period": "0", "where": "live"}, undo=True,
    ),
    Case(
        "domain.memory-stats", "persistent", ballooned(start=True), reports(None, 5), {"where": "persistent"},
        undo=True,
    ),
    Case("domain.memory-stats", "off", ballooned(period=7), reports(None, None), {"period": "0"}, undo=True),
)  # fmt: skip
