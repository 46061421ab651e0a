"""Cases of tests/lab/test_twins.py: monitor."""

from __future__ import annotations

from tests.lab.domain import Shape, guest_xml
from tests.lab.guest import guest_image
from tests.lab.twins import PAUSED, Case, Twin, has, paused, running, state

TAINTED = "tainted: custom monitor control commands issued"


def messages(twin: Twin) -> str:
    """What libvirt has to say of the domain, such as that its monitor was used."""
    lines = twin.lab.virsh("dominfo", twin.name).stdout.splitlines()
    found = [line for line in lines if "tainted" in line or "Messages" in line]
    return "\n".join(sorted(line.removeprefix("Messages:").strip() for line in found))


def guest(twin: Twin) -> None:
    """A guest of 96 MiB that has booted, with a balloon driver."""
    log = twin.folder / "console.log"
    root = guest_xml(Shape(name=twin.name), guest_image(agent=False), twin.lab.emulator, log)
    uuid = root.find("uuid")
    assert uuid is not None
    uuid.text = twin.uuid
    twin.lab.define(root, start=True)
    twin.lab.wait_ready(twin.name)


def ballooned(mib: int) -> str:
    """The line of the live XML that says what the guest has."""
    return f"<currentMemory unit='KiB'>{mib * 1024}</currentMemory>"


CASES: tuple[Case, ...] = (
    Case("domain.monitor", "stop", running, state(PAUSED), {"command": "stop"}, also=messages),
    Case(
        "domain.monitor", "info", paused, lambda seen: TAINTED in seen.also, {"command": "info status"},
        also=messages,
    ),
    Case(
        "domain.monitor", "qmp", running, state(PAUSED), {"command": '{"execute": "stop"}', "protocol": "qmp"},
        also=messages,
    ),
    Case(
        "domain.monitor", "qmp-name", running, lambda seen: TAINTED in seen.also,
        {"command": "query-status", "protocol": "qmp"}, also=messages,
    ),
    Case("domain.monitor", "balloon", guest, has(ballooned(80), live=True), {"command": "balloon 80"}, undo=True),
    Case(
        "domain.monitor", "qmp-balloon", guest, has(ballooned(80), live=True),
        {"command": 'balloon {"value": 83886080}', "protocol": "qmp"}, undo=True,
    ),
)  # fmt: skip
