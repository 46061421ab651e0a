"""The cases that tests/lab/test_pools.py carries out on twin pools: one for every action and value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from xml.etree import ElementTree as ET

from tests.lab.domain import element, text
from tests.lab.namespaces import run
from tests.lab.storage_twins import PoolCase, PoolTwin, SeenPool
from tui.model.storage import PoolState

# What is there before


def nothing(_twin: PoolTwin) -> None:
    """No pool at all."""


def there(twin: PoolTwin) -> None:
    """No pool, but its directory."""
    twin.path.mkdir()


def image_file(twin: PoolTwin) -> None:
    """No pool, but a file to put a filesystem on."""
    twin.device.write_bytes(bytes(4 << 20))


def off(twin: PoolTwin) -> None:
    """A pool that is inactive."""
    twin.lab.define_pool(twin.name, twin.path, start=False)


def running(twin: PoolTwin) -> None:
    """A pool that is active."""
    twin.lab.define_pool(twin.name, twin.path)


def autostarted(twin: PoolTwin) -> None:
    """An active pool that starts with the host."""
    twin.lab.define_pool(twin.name, twin.path, autostart=True)


def bare(twin: PoolTwin) -> None:
    """An inactive pool whose directory is not there."""
    off(twin)
    twin.path.rmdir()


def transient(twin: PoolTwin) -> None:
    """An active pool without persistent configuration."""
    twin.path.mkdir()
    twin.lab.virsh("pool-create-as", twin.name, "dir", "--target", str(twin.path))


def outdated(twin: PoolTwin) -> None:
    """An active pool that does not know of a file in it."""
    running(twin)
    (twin.path / "new.img").write_bytes(bytes(4096))


def formattable(twin: PoolTwin) -> None:
    """An inactive pool of a filesystem, on a file that has none yet."""
    image_file(twin)
    options = ["--source-dev", str(twin.device), "--source-format", "ext4", "--target", str(twin.path)]
    twin.lab.virsh("pool-define-as", twin.name, "fs", *options)


def formatted(twin: PoolTwin) -> None:
    """An inactive pool of a filesystem, on a file that has another one."""
    formattable(twin)
    run(["mkfs.ext2", "-q", "-F", str(twin.device)])


# What is given


def new_pool(**fields: str) -> Callable[[PoolTwin], Mapping[str, str]]:
    """The form with the twin's name and fields; FOLDER in them is the twin's own."""
    return lambda twin: {
        "name": twin.name,
        **{name: value.replace("FOLDER", str(twin.folder)) for name, value in fields.items()},
    }


def from_file(uuid: bool = True, mode: str = "") -> Callable[[PoolTwin], Mapping[str, str]]:
    """An XML file of the twin, of what is there if it is there, with permissions if a mode is given."""

    def given(twin: PoolTwin) -> Mapping[str, str]:
        there = twin.lab.virsh("pool-dumpxml", twin.name, "--inactive", check=False).stdout
        known = ET.fromstring(there).findtext("uuid") if there.strip() else None
        identity = known or (f"12345678-1234-4321-8765-00000000000{twin.name[-1]}" if uuid else "")
        target = element("target", element("path", text=str(twin.path)))
        if mode:
            target.append(element("permissions", element("mode", text=mode)))
        root = element("pool", element("name", text=twin.name), target, type="dir")
        if identity:
            root.insert(1, element("uuid", text=identity))
        path = twin.folder / "given.xml"
        path.write_text(text(root))
        return {"xml": str(path), "start": "no"}

    return given


# What it comes to


def is_active(seen: SeenPool) -> bool:
    """Whether it runs."""
    return seen.state is PoolState.RUNNING


def is_off(seen: SeenPool) -> bool:
    """Whether it is defined and inactive."""
    return seen.state is PoolState.INACTIVE and seen.persistent


def is_transient(seen: SeenPool) -> bool:
    """Whether it runs and is not defined."""
    return is_active(seen) and not seen.persistent


def gone(seen: SeenPool) -> bool:
    """Whether libvirt does not know it."""
    return seen.state is None


def without_files(seen: SeenPool) -> SeenPool:
    """All but its files: what was built stays when the pool is taken back."""
    return replace(seen, files=())


def kind(word: str) -> Callable[[SeenPool], bool]:
    """Whether it is defined with a word in its XML."""
    return lambda seen: is_off(seen) and word in seen.config


_NO = {"start": "no"}

CASES: tuple[PoolCase, ...] = (
    PoolCase("pool.start", "off", off, is_active, undo=True),
    PoolCase("pool.destroy", "running", running, is_off, undo=True),
    PoolCase("pool.destroy", "transient", transient, gone),
    PoolCase("pool.refresh", "new-file", outdated, lambda seen: seen.volumes == ("new.img",)),
    PoolCase("pool.autostart", "on", running, lambda seen: seen.autostart, {"on": "on"}, undo=True),
    PoolCase("pool.autostart", "off", autostarted, lambda seen: not seen.autostart, {"on": "off"}, undo=True),
    PoolCase("pool.autostart", "toggle", off, lambda seen: seen.autostart, undo=True),
    PoolCase("pool.build", "dir", bare, lambda seen: "own/pool" in seen.files),
    PoolCase(
        "pool.build", "format", formattable, lambda seen: seen.device == "ext4\n", {"overwrite": "no-overwrite"},
    ),
    PoolCase("pool.build", "over", formatted, lambda seen: seen.device == "ext4\n", {"overwrite": "overwrite"}),
    PoolCase("pool.delete", "dir", off, lambda seen: "own/pool" not in seen.files, undo=True),
    PoolCase("pool.undefine", "off", off, gone, undo=True),
    PoolCase("pool.undefine", "running", running, gone, undo=True),
    PoolCase("pool.undefine", "autostarted", autostarted, gone, undo=True),
    PoolCase("pool.define", "dir", there, is_active, own=new_pool(target="FOLDER/pool"), undo=True),
    PoolCase(
        "pool.define", "built", nothing, lambda seen: is_active(seen) and seen.autostart,
        {"build": "yes", "autostart": "yes"}, new_pool(target="FOLDER/pool"), undo=True, forgiven=without_files,
    ),
    PoolCase(
        "pool.define", "fs", image_file, kind("<format type='ext4'/>"), {**_NO, "type": "fs", "format": "ext4"},
        new_pool(target="FOLDER/pool", source="FOLDER/device"), undo=True,
    ),
    PoolCase(
        "pool.define", "netfs", nothing, kind("<dir path='FOLDER/it'/>"), {**_NO, "type": "netfs", "format": "nfs"},
        new_pool(target="FOLDER/pool", source="[2001:db8::1]:FOLDER/it"), undo=True,
    ),
    PoolCase(
        "pool.define", "logical", nothing, kind("<path>/dev/NAME</path>"), {**_NO, "type": "logical"},
        lambda twin: {"name": twin.name, "source": f"{twin.name} /dev/{twin.name}"}, undo=True,
    ),
    PoolCase(
        "pool.define", "disk", nothing, kind("<path>/dev</path>"), {**_NO, "type": "disk", "format": "gpt"},
        lambda twin: {"name": twin.name, "source": f"/dev/{twin.name}"}, undo=True,
    ),
    PoolCase(
        "pool.define", "iscsi", nothing, kind("<device path='iqn.2020-01.org.example:NAME'/>"),
        {**_NO, "type": "iscsi"},
        lambda twin: {"name": twin.name, "source": f"san1:iqn.2020-01.org.example:{twin.name}"}, undo=True,
    ),
    PoolCase(
        "pool.define", "iscsi-chap", nothing, kind("<auth type='chap' username='me'>"), {**_NO, "type": "iscsi"},
        lambda twin: {
            "name": twin.name, "source": f"san1:iqn.2020-01.org.example:{twin.name}", "auth": "me it",
        }, undo=True,
    ),
    PoolCase("pool.create", "dir", there, is_transient, own=new_pool(target="FOLDER/pool"), undo=True),
    PoolCase(
        "pool.create", "built", nothing, is_transient, {"build": "yes"}, new_pool(target="FOLDER/pool"), undo=True,
        forgiven=without_files,
    ),
    PoolCase("pool.define", "file", there, is_off, own=from_file(), undo=True),
    PoolCase(
        "pool.define", "file-over", off, kind("<mode>0750</mode>"), own=from_file(mode="0750"), undo=True,
        forgiven=lambda seen: seen,
    ),
    PoolCase("pool.define", "file-unnamed", there, is_off, own=from_file(uuid=False)),
)  # fmt: skip

ELSEWHERE: tuple[tuple[str, Mapping[str, str]], ...] = tuple(
    (action, {"type": word})
    for action, words in (
        ("pool.define", ("scsi", "mpath", "rbd", "gluster", "zfs", "iscsi-direct", "vstorage")),
        (
            "pool.create",
            (
                "fs",
                "netfs",
                "logical",
                "disk",
                "iscsi",
                "scsi",
                "mpath",
                "rbd",
                "gluster",
                "zfs",
                "iscsi-direct",
                "vstorage",
            ),
        ),
    )
    for word in words
)
"""Of these a host has one at most, this libvirt has no backend, or there is nothing here to start them on: their XML is
compared with what virsh prints."""
