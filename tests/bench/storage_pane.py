"""Storage pane: until the first and all volumes are there, against the empty pane and libvirt's own listing."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from xml.etree import ElementTree as ET

import libvirt

from tests.bench.figures import Figure, median
from tests.bench.hosts import session_daemon
from tests.bench.program import Bench

POOLS, VOLUMES = 20, 100
_RATIO = 1.5
_PATIENCE_S = 60.0
_EMPTY = "no pools here"


def storage_pane(bench: Bench) -> list[Figure]:
    """Return medians in ms over interleaved runs, each from the key to the picture, read anew in between; the first
    run warms caches and does not count."""
    times: dict[str, list[float]] = defaultdict(list)
    with _host(0, 0) as empty, _host(POOLS, VOLUMES) as full:
        for run in range((2 if bench.quick else 7) + 1):
            first, whole = _opened(bench, full, "volume-000", f"{POOLS * VOLUMES} volumes ")
            seconds = {
                "empty": _opened(bench, empty, _EMPTY)[0],
                "first": first,
                "whole": whole,
                "listing": _listing(full),
                "names": _names(full),
            }
            for name, value in seconds.items():
                times[name] += [value * 1000] if run > 0 else []
    ms = {name: median(values) for name, values in times.items()}
    count = f"{POOLS * VOLUMES:,} volumes in {POOLS} pools"
    bound, words = _RATIO * ms["empty"] + ms["listing"], f"{_RATIO} x empty + listing"
    return [
        Figure("the empty pane, from start", ms["empty"], "ms"),
        Figure(f"libvirt's listing of {count}", ms["listing"], "ms", note="pools, volumes and their XML, one by one"),
        Figure(f"libvirt's names alone of {count}", ms["names"], "ms"),
        Figure(f"the first volumes of {count}, from start", ms["first"], "ms", bound, words),
        Figure(f"all {count}, from start", ms["whole"], "ms", bound, words),
    ]


def _opened(bench: Bench, uri: str, *shown: str) -> list[float]:
    """Seconds from the start of the program, whose storage pane is asked for at once, until each text is there."""
    with bench.start(uri) as terminal:
        terminal.wait_for("Storage", _PATIENCE_S)
        terminal.press("3")
        return [terminal.wait_for(text, _PATIENCE_S) - terminal.started for text in shown]


@contextmanager
def _listed(uri: str) -> Iterator[Any]:
    connection = libvirt.open(uri)
    try:
        yield connection
    finally:
        connection.close()


def _listing(uri: str) -> float:
    """Seconds that libvirt itself takes to tell all of it, as `virsh vol-list --details` for every pool would."""
    with _listed(uri) as connection:
        begun = time.monotonic()
        for pool in connection.listAllStoragePools(0):
            pool.info()
            pool.XMLDesc(0)
            pool.autostart()
            pool.isPersistent()
            for volume in pool.listAllVolumes(0):
                volume.XMLDesc(0)
        return time.monotonic() - begun


def _names(uri: str) -> float:
    with _listed(uri) as connection:
        begun = time.monotonic()
        for pool in connection.listAllStoragePools(0):
            pool.listAllVolumes(0)
        return time.monotonic() - begun


@contextmanager
def _host(pools: int, volumes: int) -> Iterator[str]:
    """The URI of a session libvirtd with real directories of files, as every connection sees them."""
    with session_daemon() as socket, TemporaryDirectory(prefix="virtdeck-pools-") as folder:
        Path(folder).chmod(0o755)
        uri = f"qemu+unix:///session?socket={socket}"
        with _listed(uri) as connection:
            for number in range(pools):
                _fill(connection, Path(folder) / f"pool-{number:02}", volumes)
        yield uri


def _fill(connection: Any, path: Path, volumes: int) -> None:
    path.mkdir()
    for number in range(volumes):
        image = path / f"volume-{number:03}"
        image.touch()
        image.chmod(0o644)
    root = ET.Element("pool", type="dir")
    ET.SubElement(root, "name").text = path.name
    ET.SubElement(ET.SubElement(root, "target"), "path").text = str(path)
    connection.storagePoolDefineXML(ET.tostring(root, encoding="unicode"), 0).create(0)
