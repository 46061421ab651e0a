"""Requests and latency of a real guest's disk, as they come into the history."""

from __future__ import annotations

from tests.lab.domain import disk_xml
from tests.lab.host import LabHost
from tui.panes.disk_figures import disk_figures
from tui.panes.spec import View
from tui.runtime.collector import Collector
from tui.runtime.desk import Focus
from tui.runtime.store import HISTORY, Store

_READING = "while :; do dd if=/dev/vda of=/dev/null bs=4k iflag=direct; done >/dev/null 2>&1 &"


def test_a_guest_that_reads_its_disk_is_seen_to(lab: LabHost, name: str) -> None:
    image = lab.create_image(f"{name}.raw", size_mib=4, kind="raw")
    key = lab.define_guest(name, devices=[disk_xml(image, "vda", kind="raw")]).uuid
    store = Store()
    store.look_at([key])
    collector = Collector(lab.uri, read_only=True, interval_s=0.5, publish=store.apply)
    collector.focus(Focus((key,), key))
    collector.start()
    collector.start_slow()
    try:
        with lab.console(name) as console:
            assert console.run(_READING)[0] == 0
        assert collector.board.wait(lambda _seen: busy(store, key) >= 3, 20), store.disk_history(key, "vda", HISTORY)
        view = View(collector.board.snapshot, store.cpu_history, disk_history=store.disk_history)
        words = ["".join(span.text for span in line).split()[-4:] for line in disk_figures(view, key, "vda")]
        assert [line[1].rstrip(",") for line in words] == ["req/s", "ms"]
        assert all(float(line[3]) > 0 for line in words)
    finally:
        collector.stop()


def busy(store: Store, key: str) -> int:
    """How many readings saw requests that took their time."""
    readings = store.disk_history(key, "vda", HISTORY)
    return sum(bool(reading.requests_per_s) and bool(reading.latency_ns) for reading in readings)
