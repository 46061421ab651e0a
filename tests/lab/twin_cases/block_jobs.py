"""Cases of tests/lab/test_twins.py: block jobs on the disks of running domains, and volumes made for a disk."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from tests.lab.actions import Seen
from tests.lab.block_words import holds_bytes, snapshot
from tests.lab.domain import disk_xml
from tests.lab.namespaces import run
from tests.lab.twins import Case, Make, Twin


def _path(twin: Twin, name: str) -> Path:
    return twin.folder / f"{name}.qcow2"


def layered(
    *overlays: str, then: Callable[[Twin], None] = lambda _twin: None, pools: bool = True, start: bool = True
) -> Make:
    """A domain, which runs, whose vda lies on a base in its own pool `NAME-images`, each overlay on the one before;
    another pool, `NAME-other`, is empty."""

    def make(twin: Twin) -> None:
        base, root = _path(twin, "base"), twin.xml()
        run(["qemu-img", "create", "-q", "-f", "qcow2", str(base), "4M"])
        run(["qemu-io", "-f", "qcow2", "-c", "write -P 1 0 2M", str(base)])
        devices = root.find("devices")
        assert devices is not None
        devices.append(disk_xml(base, "vda"))
        twin.lab.define(root, start=start)
        for overlay in overlays:
            snapshot(twin.lab, twin.name, _path(twin, overlay))
        if pools:
            twin.lab.define_pool(f"{twin.name}-images", twin.folder)
            twin.lab.define_pool(f"{twin.name}-other", twin.folder / "other")
        then(twin)

    return make


def copied(twin: Twin) -> None:
    """A copy of vda that is ready."""
    twin.virsh("blockcopy", "vda", "--dest", str(_path(twin, "mirror")), "--transient-job", "--wait")


def content(twin: Twin) -> str:
    """Which of its images hold what the base was given."""
    found = sorted(twin.folder.rglob("*.qcow2"))
    return " ".join(f"{path.name}:{holds_bytes(path, (1, '0', '2M'))}" for path in found)


def unnumbered(seen: Seen) -> Seen:
    """All but what QEMU counts on, and what is said of the images below, which are read anew when they are not."""
    below = re.compile(r"\n *<backingStore/>|\n *<backingStore.*</backingStore>", re.DOTALL)
    live = re.sub(r"(<source [^>]*) index='\d+'", r"\1", re.sub(r"(<backingStore [^>]*) index='\d+'", r"\1", seen.live))
    return replace(seen, live=re.sub(r"\n *<backingStore/>", "", live), config=below.sub("", seen.config))


def without_overlay(seen: Seen) -> Seen:
    """All but what unnumbered leaves out, and the image that a commit leaves behind."""
    files = tuple(path for path in seen.files if not path.endswith(".then"))
    return replace(unnumbered(seen), files=files)


def runs_with(name: str, *, layers: int = 1, form: str = "qcow2") -> Callable[[Seen], bool]:
    """Whether both sides have vda with that image first, on so many others less one."""

    def reached(seen: Seen) -> bool:
        sides = (seen.live, seen.config)
        first = all(re.search(rf"type='{form}'[^/]*/>\s*<source file='[^']*/{name}'", side) for side in sides)
        return first and seen.live.count("<source file=") == layers and "<mirror" not in seen.live

    return reached


def _to(pool: str, name: str = "") -> Callable[[Twin], Mapping[str, str]]:
    def fields(twin: Twin) -> Mapping[str, str]:
        return {"to": f"{twin.name}-{pool}/{name}"} if name else {"pool": f"{twin.name}-{pool}"}

    return fields


def _file(name: str) -> Callable[[Twin], Mapping[str, str]]:
    return lambda twin: {"to": str(twin.folder / name)}


def _new(pool: str, name: str) -> Callable[[Twin], Mapping[str, str]]:
    return lambda twin: {"source": f"{twin.name}-{pool}/{name}"}


def case(action: str, what: str, make: Make, reached: Callable[[Seen], bool], values: Mapping[str, str], **more: object) -> Case:  # fmt: skip  # noqa: E501
    """A case whose images are looked into as well."""
    return Case(f"domain.disk-{action}", what, make, reached, values, also=content, forgiven=unnumbered, **more)  # type: ignore[arg-type]


_LIMIT = {"limit": "64M"}

CASES: tuple[Case, ...] = (
    Case("domain.snapshot-disk", "one", layered(pools=False), runs_with("base.then", layers=2), {"name": "then"},
         also=content, forgiven=without_overlay, undo=True),
    case("commit", "active", layered("one", pools=False), runs_with("base.qcow2"), {}),
    case("commit", "middle", layered("one", "two", "three"), runs_with("three.qcow2", layers=2),
         {"top": "1", "base": "3", **_LIMIT}),
    case("pull", "all", layered("one", "two", pools=False), runs_with("two.qcow2"), _LIMIT),
    case("pull", "onto", layered("one", "two", pools=False), runs_with("two.qcow2", layers=2), {"base": "2"}),
    case("move", "kept", layered(), runs_with("other/base.qcow2"), _LIMIT, paths=_to("other"), undo=True),
    case("move", "shallow", layered("one"), runs_with("other/one.qcow2", layers=2), {"chain": "shallow"},
         paths=_to("other"), undo=True),
    case("move", "deleted", layered(), runs_with("other/new.qcow2"), {"old": "delete", "name": "new.qcow2"},
         paths=_to("other")),
    case("move", "off", layered(start=False), lambda seen: seen.config.count("/other/base.qcow2'") == 1, {},
         paths=_to("other")),
    case("copy", "volume", layered(), lambda seen: "own/other/x" in seen.files, {}, paths=_to("other", "x"), undo=True),
    case("copy", "raw-file", layered("one"), runs_with("z.raw", form="raw"), {"then": "pivot", "format": "raw"},
         paths=_file("z.raw"), undo=True, taken_back=False),
    case("copy", "shallow", layered("one"), runs_with("other/x.qcow2", layers=2),
         {"then": "pivot", "format": "qcow2", "chain": "shallow"}, paths=_to("other", "x.qcow2"), undo=True),
    case("job", "abort", layered(then=copied, pools=False), runs_with("base.qcow2"), {}),
    case("job", "pivot", layered(then=copied, pools=False), runs_with("mirror.qcow2"), {"end": "pivot"}),
    case("attach", "new-volume", layered(), lambda seen: seen.config.count("<target dev='vdb'") == 1,
         {"capacity": "8M", "where": "persistent"}, paths=_new("other", "new.img"), undo=True),
)  # fmt: skip
