"""Cases of tests/lab/test_twins.py: ports."""

from __future__ import annotations

from collections.abc import Callable

from tests.lab.actions import Seen
from tests.lab.domain import ROOT_PORTS, Shape, blank_xml
from tests.lab.twins import Case, Make, Twin

_PORT = "model='pcie-root-port'>"


def q35(*, start: bool) -> Make:
    """A domain with nothing to boot on a machine that has PCIe, off or running."""

    def make(twin: Twin) -> None:
        root = blank_xml(Shape(name=twin.name, memory_mib=16), twin.lab.emulator)
        uuid = root.find("uuid")
        assert uuid is not None
        uuid.text = twin.uuid
        twin.lab.define(root, start=start)

    return make


def ports(live: int, persistent: int) -> Callable[[Seen], bool]:
    """Whether both sides have so many root ports."""
    return lambda seen: (seen.live.count(_PORT), seen.config.count(_PORT)) == (live, persistent)


CASES: tuple[Case, ...] = (
    Case("domain.ports", "off", q35(start=False), ports(0, ROOT_PORTS + 4), undo=True),
    Case("domain.ports", "running", q35(start=True), ports(ROOT_PORTS, ROOT_PORTS + 1), {"count": "1"}, undo=True),
)
