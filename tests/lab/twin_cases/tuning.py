"""Cases of tests/lab/test_twins.py: tuning. The lab's libvirtd has no control groups: what needs them is in LIVE_CASES,
which tests/lab/test_tuning.py carries out on a host that has them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace

from tests.lab.actions import Seen
from tests.lab.domain import disk_xml, element, text
from tests.lab.namespaces import run
from tests.lab.twins import Case, Make, Twin, has, off, running, transient

_DEFAULTS = re.compile(r"\s*<(shares>1024<|shares>100<|(\w+_)?period>100000<|(\w+_)?quota>-1<).*")
_EMPTY = re.compile(r"\s*<cputune>\s*</cputune>")
_THREAD = re.compile(r"\s*<iothread id='\d+'.*")
_THREADS = re.compile(r"\s*<iothreadids>\s*</iothreadids>")


def set_apart(*commands: tuple[str, ...], before: Make = running) -> Make:
    """A domain after virsh commands, each a verb and the words behind the domain's name."""

    def make(twin: Twin) -> None:
        before(twin)
        for verb, *words in commands:
            twin.virsh(verb, *words)

    return make


def in_use(*, start: bool, numbers: int = 2) -> Make:
    """A domain with I/O threads from 1 on, the first of which serves its disk."""

    def make(twin: Twin) -> None:
        image, root = twin.folder / "disk.qcow2", twin.xml()
        run(["qemu-img", "create", "-q", "-f", "qcow2", str(image), "1M"])
        devices = root.find("devices")
        assert devices is not None
        disk = disk_xml(image, "vda")
        driver = disk.find("driver")
        assert driver is not None
        driver.set("iothread", "1")
        devices.append(disk)
        root.append(element("iothreads", text=str(numbers)))
        twin.lab.define(root, start=start)

    return make


def transient_thread(twin: Twin) -> None:
    """A transient domain with an I/O thread."""
    root = twin.xml()
    root.append(element("iothreads", text="1"))
    with twin.lab.connect() as connection:
        connection.createXML(text(root), 0)


def without_defaults(seen: Seen) -> Seen:
    """All but values that mean what no value means, which libvirt cannot take out again."""
    return replace(seen, live=_bare(seen.live), config=_bare(seen.config))


def _bare(xml: str) -> str:
    return _EMPTY.sub("", _DEFAULTS.sub("", xml))


def any_order(seen: Seen) -> Seen:
    """With the I/O threads sorted by number, named or not: one that is added again stands last."""
    return replace(seen, live=_counted(seen.live), config=_counted(seen.config))


def _counted(xml: str) -> str:
    return _THREADS.sub("", _THREAD.sub("", xml))


def threads(*numbers: int, side: str) -> Callable[[Seen], bool]:
    """Whether a side's XML names these I/O threads and no others."""

    def reached(seen: Seen) -> bool:
        found = re.findall(r"<iothread id='(\d+)'", seen.live if side == "live" else seen.config)
        return sorted(map(int, found)) == sorted(numbers)

    return reached


def _all(*wanted: Callable[[Seen], bool]) -> Callable[[Seen], bool]:
    return lambda seen: all(one(seen) for one in wanted)


def both_sides(*numbers: int) -> Callable[[Seen], bool]:
    """Whether both sides name these I/O threads and no others."""
    return _all(threads(*numbers, side="live"), threads(*numbers, side="config"))


_LATER = {"where": "persistent"}
_NOW = {"where": "live"}
_ALL_VALUES = {
    "shares": "2048", "period": "50000", "quota": "1.5 CPU", "emulator_period": "20000", "emulator_quota": "10000",
    "global_period": "100000", "global_quota": "none", "iothread_period": "10000", "iothread_quota": "0.25cpu",
}  # fmt: skip
_ALL_WORDS = (
    "<shares>2048<", "<period>50000<", "<quota>75000<", "<emulator_period>20000<", "<emulator_quota>10000<",
    "<global_period>100000<", "<global_quota>-1<", "<iothread_period>10000<", "<iothread_quota>2500<",
)  # fmt: skip
_SET = ("schedinfo", "--config", "cpu_shares=300", "vcpu_period=20000", "vcpu_quota=5000")
_THREE = ("iothreadadd", "--id", "3")

SCHEDULER_CASES: tuple[Case, ...] = (
    Case(
        "domain.scheduler", "all", off, has(*_ALL_WORDS, config=True), _ALL_VALUES,
        undo=True, forgiven=without_defaults,
    ),
    Case(
        "domain.scheduler", "persistent", set_apart(_SET, before=off), has("<quota>-1<", "<shares>2<", config=True),
        {"shares": "2", "quota": "none", **_LATER}, undo=True,
    ),
    Case(
        "domain.scheduler", "periods", set_apart(_SET, before=off),
        has("<period>1000<", "<emulator_period>1000000<", "<shares>300<", config=True),
        {"period": "1000", "emulator_period": "1000000", "shares": "300"}, undo=True,
    ),
)  # fmt: skip

MEMTUNE_CASES: tuple[Case, ...] = (
    Case(
        "domain.memtune", "off", off,
        has(">524288</hard_limit>", ">131072</soft_limit>", ">1048576</swap_hard_limit>", config=True),
        {"hard": "512M", "soft": "128M", "swap_hard": "1G"}, undo=True,
    ),
    Case(
        "domain.memtune", "running", running, has(">262144</hard_limit>", config=True), {"hard": "256M", **_LATER},
        undo=True,
    ),
    Case(
        "domain.memtune", "none", set_apart(("memtune", "--config", "--hard-limit", "200000", "--soft-limit", "90000")),
        has("hard_limit"), {"hard": "none", **_LATER}, undo=True,
    ),
    Case(
        "domain.memtune", "more",
        set_apart(("memtune", "--config", "--hard-limit", "204800", "--swap-hard-limit", "204800"), before=off),
        has(">307200</swap_hard_limit>", ">256000</hard_limit>", config=True), {"hard": "+50M", "swap_hard": "+100M"},
        undo=True,
    ),
)  # fmt: skip

IOTHREAD_CASES: tuple[Case, ...] = (
    Case("domain.iothread-add", "both", running, both_sides(1), undo=True),
    Case("domain.iothread-add", "number", running, both_sides(7), {"number": "7"}, undo=True),
    Case(
        "domain.iothread-add", "live", set_apart((*_THREE, "--live"), (*_THREE, "--config")),
        _all(threads(1, 3, side="live"), threads(3, side="config")), _NOW, undo=True,
    ),
    Case(
        "domain.iothread-add", "persistent", running,
        _all(threads(side="live"), threads(1, side="config")), _LATER, undo=True,
    ),
    Case(
        "domain.iothread-add", "one-side-has-it", set_apart((*_THREE, "--live")), both_sides(3), {"number": "3"},
        undo=True,
    ),
    Case("domain.iothread-add", "off", in_use(start=False), threads(1, 2, 3, side="config"), undo=True,
         forgiven=any_order),
    Case("domain.iothread-add", "transient", transient, threads(1, side="live"), undo=True),
    Case(
        "domain.iothread-del", "both", set_apart((*_THREE, "--live"), (*_THREE, "--config")), both_sides(),
        {"number": "3"}, undo=True,
    ),
    Case(
        "domain.iothread-del", "pinned",
        set_apart(
            (*_THREE, "--live"), (*_THREE, "--config"),
            ("iothreadpin", "3", "1", "--live"), ("iothreadpin", "3", "0", "--config"),
        ),
        has("iothreadpin"), {"number": "3"}, undo=True,
    ),
    Case(
        "domain.iothread-del", "live", set_apart((*_THREE, "--live"), (*_THREE, "--config")),
        _all(threads(side="live"), threads(3, side="config")), {"number": "3", **_NOW}, undo=True,
    ),
    Case(
        "domain.iothread-del", "persistent", in_use(start=True),
        has("<iothreads>1<", config=True), {"number": "2", **_LATER}, undo=True, forgiven=any_order,
    ),
    Case("domain.iothread-del", "off", in_use(start=False), has("<iothreads>1<", config=True), {"number": "2"},
         undo=True, forgiven=any_order),
    Case("domain.iothread-del", "transient", transient_thread, threads(side="live"), {"number": "1"}, undo=True,
         forgiven=any_order),
)  # fmt: skip

CASES: tuple[Case, ...] = (*SCHEDULER_CASES, *MEMTUNE_CASES, *IOTHREAD_CASES)

LIVE_CASES: tuple[Case, ...] = (
    Case(
        "domain.scheduler", "both", running, has(*_ALL_WORDS, live=True, config=True), _ALL_VALUES,
        undo=True, forgiven=without_defaults,
    ),
    Case(
        "domain.scheduler", "live", set_apart(_SET),
        _all(has("<shares>512<", "<quota>30000<", live=True), has("<shares>300<", "<quota>5000<", config=True)),
        {"shares": "512", "quota": "30000", **_NOW}, undo=True, forgiven=without_defaults,
    ),
    Case(
        "domain.scheduler", "apart",
        set_apart(_SET, ("schedinfo", "--live", "cpu_shares=700", "vcpu_period=30000", "vcpu_quota=9000")),
        has("<shares>4096<", "<quota>-1<", live=True, config=True), {"shares": "4096", "quota": "none"}, undo=True,
    ),
    Case(
        "domain.scheduler", "persistent", running, has("<shares>512<", config=True), {"shares": "512", **_LATER},
        undo=True, forgiven=without_defaults,
    ),
    Case("domain.scheduler", "transient", transient, has("<global_quota>50000<", live=True),
         {"global_quota": "0.5 CPU"}, undo=True, forgiven=without_defaults),
)  # fmt: skip
"""For a libvirtd with the CPU control group."""

ELSEWHERE: tuple[tuple[str, Mapping[str, str]], ...] = (
    *((case.action, case.values) for case in LIVE_CASES),
    # No libvirtd here has the memory control group: the refusal is tested, and the plan of one that has it.
    ("domain.memtune", _NOW),
)
"""Actions and values whose tests are in tests/lab/test_tuning.py."""
