"""Actions on pools: where they apply, what they plan, what they refuse; and plans carried out on the test driver."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from tests.unit.conftest import watched
from tui.actions import BY_ID
from tui.actions.base import Context, FieldError, Target, make_plan
from tui.actions.pool_steps import as_pool, pool_word, users_of
from tui.demo import prepare
from tui.do import UsageError, _target
from tui.model.kind import Kind
from tui.model.plan import Confirm, Plan, Step
from tui.model.process import QemuDrive, QemuProcess
from tui.model.storage import Pool, PoolState, Storage
from tui.ops import execute
from tui.ops.base import OpError
from tui.ops.pools import DefinePoolAs, DeletePool, DestroyPool, StartPool, UndefinePool
from tui.runtime.collector import Collector

IDS = [f"pool.{word}" for word in ("start", "destroy", "refresh", "autostart", "build", "delete", "undefine")]


@pytest.fixture(scope="module")
def seen(demo_uri: str) -> Iterator[Collector]:
    with watched(demo_uri, prepare=prepare, interval_s=30.0) as collector:
        yield collector


@pytest.fixture
def context(seen: Collector, tmp_path: Path) -> Context:
    return Context(seen.board.snapshot, tmp_path)


def storage(context: Context) -> Storage:
    assert context.snapshot.storage is not None
    return context.snapshot.storage


def named(context: Context, name: str) -> Pool:
    return next(pool for pool in storage(context).pools.values() if pool.raw_name == name)


def with_pool(context: Context, pool: Pool) -> Context:
    """The same host with one pool as it is given."""
    changed = replace(storage(context), pools={**storage(context).pools, pool.key: pool})
    return replace(context, snapshot=replace(context.snapshot, storage=changed))


def plan(context: Context, ident: str, *targets: Target, **values: str) -> Plan:
    return make_plan(BY_ID[ident], context, targets or [None], values)


def words(steps: tuple[Step, ...]) -> list[str]:
    """The commands behind `virsh -c URI`."""
    return [" ".join(step.command[3:]) for step in steps]


# Where they apply


@pytest.mark.parametrize(
    ("ident", "active", "inactive"),
    [
        ("pool.start", "it is running already", None),
        ("pool.destroy", None, "it is inactive"),
        ("pool.refresh", None, "it is inactive"),
        ("pool.autostart", None, None),
        ("pool.build", "it is running; stop it first", None),
        ("pool.delete", "it is running; stop it first", None),
        ("pool.undefine", None, None),
    ],
)
def test_states_in_which_they_apply(context: Context, ident: str, active: str | None, inactive: str | None) -> None:
    action = BY_ID[ident]
    assert action.reason(context, named(context, "images")) == active
    assert action.reason(context, named(context, "usb-backup")) == inactive


def test_pools_that_have_nothing_of_the_sort_say_so(context: Context) -> None:
    off = named(context, "usb-backup")
    assert BY_ID["pool.build"].reason(context, replace(off, kind="rbd")) == (
        "there is nothing to build for a pool of type rbd"
    )
    assert BY_ID["pool.delete"].reason(context, replace(off, kind="disk")) == (
        "libvirt cannot delete what is behind a pool of type disk"
    )
    transient = replace(named(context, "isos"), persistent=False)
    assert BY_ID["pool.autostart"].reason(context, transient) == "it is transient: libvirt forgets it when it stops"
    assert BY_ID["pool.undefine"].reason(context, transient) == "it is transient: it has no persistent configuration"


def test_while_it_is_not_known_who_uses_a_pool_it_is_not_stopped(context: Context) -> None:
    blind = replace(context, snapshot=replace(context.snapshot, unread=frozenset({"configs"})))
    for ident in ("pool.destroy", "pool.undefine"):
        reason = BY_ID[ident].reason(blind, named(context, "images"))
        assert reason == "the domains are not read yet, so who uses it is not known"
    assert BY_ID["pool.delete"].reason(blind, named(context, "usb-backup")) is not None


# Plans


def test_a_used_pool_is_typed_and_an_unused_one_is_not(context: Context) -> None:
    used = plan(context, "pool.destroy", named(context, "images"))
    assert (used.confirm, used.phrase) == (Confirm.TYPE, "images")
    assert used.losses()[0].startswith("the pool under running domains: ")
    assert "db-primary (vda)" in used.losses()[0]
    assert used.losses()[0].endswith(" more")
    free = plan(context, "pool.destroy", replace(named(context, "isos"), raw_name="x", raw_path="/nowhere", key="k"))
    assert (free.confirm, free.losses()) == (Confirm.NONE, [])
    assert words(free.undo_steps()) == ["pool-start x"]
    assert [step.request for step in free.steps] == [DestroyPool("k", unused=True)]
    assert [step.request for step in used.steps] == [DestroyPool(named(context, "images").key, unused=False)]


def test_a_transient_pool_is_lost_when_it_stops(context: Context) -> None:
    lonely = replace(named(context, "isos"), raw_path="/nowhere", key="k", persistent=False)
    made = plan(context, "pool.destroy", lonely)
    assert made.losses() == ["the pool itself: it is transient"]
    assert (made.confirm, made.undo_steps()) == (Confirm.ASK, ())


def test_an_active_pool_is_stopped_before_it_is_undefined(context: Context) -> None:
    pool = replace(named(context, "isos"), raw_path="/nowhere", key="k", autostart=True)
    made = plan(context, "pool.undefine", pool)
    assert words(made.steps) == ["pool-destroy isos", "pool-undefine isos"]
    request = made.steps[1].request
    assert isinstance(request, UndefinePool)
    assert words(made.undo_steps()) == [f"pool-define {request.backup}", "pool-autostart isos", "pool-start isos"]
    assert made.confirm is Confirm.ASK


def test_what_overwrites_is_typed_and_only_where_something_is_formatted(context: Context) -> None:
    off = named(context, "usb-backup")
    device = replace(off, kind="fs", source="/dev/sdb1")
    made = plan(context, "pool.build", device, overwrite="overwrite")
    assert (made.confirm, made.losses()) == (Confirm.TYPE, ["all data on /dev/sdb1"])
    assert plan(context, "pool.build", device, overwrite="no-overwrite").confirm is Confirm.NONE
    with pytest.raises(FieldError, match="a pool of type dir is a directory"):
        plan(context, "pool.build", off, overwrite="overwrite")


@pytest.mark.parametrize("name", ["-x", " a", "", "a\nb", "8b2641be-9180-5ef1-bf63-51b8551a2b76", "\x1b[2J"])
def test_names_that_virsh_would_read_otherwise_give_way_to_the_uuid(context: Context, name: str) -> None:
    pool = named(context, "images")
    assert pool_word(pool) == "images"
    assert pool_word(replace(pool, raw_name="12")) == "12"
    assert pool_word(replace(pool, raw_name=name)) == pool.key


def test_only_pools_are_taken(context: Context) -> None:
    with pytest.raises(TypeError):
        as_pool(next(iter(context.snapshot.domains.values())))


# Who uses a pool


def test_users_are_told_by_volumes_paths_and_processes(context: Context) -> None:
    pool = named(context, "images")
    users = users_of(context.snapshot, pool)
    assert any(name.startswith("web-01 (") for name in users.running)
    assert not set(users.running) & set(users.other)
    beside = users_of(context.snapshot, replace(pool, key="k", raw_name="x", raw_path="/var/lib/libvirt/image"))
    assert beside == users_of(context.snapshot, replace(pool, key="k", raw_name="x", raw_path="/nowhere"))
    unlisted = users_of(context.snapshot, replace(pool, key="k", raw_name="x", raw_path="/var/lib/libvirt/images/"))
    assert unlisted == users, "also by what the pool did not list yet"


def test_a_qemu_started_by_hand_uses_a_pool_as_well(context: Context) -> None:
    nothing: dict[str, Any] = dict.fromkeys(QemuProcess.__slots__, None)
    drive = QemuDrive("/mnt/usb-backup/x.img", "/mnt/usb-backup/x.img", "raw", None, "disk", False)
    known = {"key": "9:1", "pid": 9, "name": "by hand", "drives": (drive,), "started_ns": 0}
    process = QemuProcess(**{**nothing, **known})
    busy = replace(context, snapshot=replace(context.snapshot, processes={"9:1": process}))
    assert users_of(busy.snapshot, named(context, "usb-backup")).running == ("by hand (pid 9)",)
    with pytest.raises(FieldError, match=r"usb-backup is used by by hand \(pid 9\)"):
        plan(busy, "pool.delete", named(context, "usb-backup"))


def test_a_disk_that_names_the_volume_of_an_inactive_pool_counts(context: Context) -> None:
    pool = replace(named(context, "archive"), state=PoolState.INACTIVE, raw_path="")
    stopped = with_pool(context, pool)
    volumes = {key: v for key, v in storage(context).volumes.items() if v.pool != pool.key}
    blind = replace(storage(stopped), volumes=volumes)
    found = users_of(replace(context.snapshot, storage=blind), pool)
    assert found.running + found.other


# The form of a new pool


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "a/b"}, "name"),
        ({"name": "-a"}, "name"),
        ({"name": "images"}, "name"),
        ({"target": ""}, "target"),
        ({"target": "relative"}, "target"),
        ({"source": "/dev/sdb"}, "source"),
        ({"format": "ext4"}, "format"),
        ({"type": "fs", "source": ""}, "source"),
        ({"type": "fs", "source": "sdb1"}, "source"),
        ({"type": "fs", "source": "/dev/sdb1", "format": "-x"}, "format"),
        ({"type": "netfs", "source": "nas1"}, "source"),
        ({"type": "netfs", "source": "nas1:relative"}, "source"),
        ({"type": "logical", "source": "vg sdb", "target": ""}, "source"),
        ({"type": "scsi", "source": "-x"}, "source"),
        ({"type": "rbd", "source": "mon1:rbd"}, "target"),
        ({"type": "mpath", "source": "x"}, "source"),
        ({"type": "iscsi", "source": "san1:iqn.a iqn.b"}, "source"),
        ({"type": "iscsi-direct", "source": "san1:iqn.a", "target": ""}, "source"),
        ({"type": "vstorage", "source": ""}, "source"),
        ({"auth": "me secret"}, "auth"),
        ({"type": "iscsi", "source": "san1:iqn.a", "auth": "me"}, "auth"),
        ({"type": "iscsi", "source": "san1:iqn.a", "auth": "me my secret"}, "auth"),
        ({"type": "nonsense"}, "type"),
    ],
)
@pytest.mark.parametrize("action", ["pool.define", "pool.create"])
def test_what_cannot_be_is_refused_before_anything_is_changed(
    context: Context, action: str, values: dict[str, str], field: str
) -> None:
    with pytest.raises(FieldError) as caught:
        plan(context, action, **{"name": "new", "target": "/srv/new", **values})
    assert caught.value.field == field


def test_types_that_this_libvirt_has_not_are_refused(context: Context) -> None:
    poor = replace(storage(context), pool_types=frozenset({"dir"}))
    there = replace(context, snapshot=replace(context.snapshot, storage=poor))
    assert plan(there, "pool.define", name="new", target="/srv/new").steps
    with pytest.raises(FieldError, match="type: this libvirt has no backend for fs; it has dir"):
        plan(there, "pool.define", name="new", target="/srv/new", type="fs", source="/dev/sdb1")


def test_only_types_that_this_libvirt_has_are_offered(context: Context) -> None:
    for known, offered in ((frozenset({"dir", "rbd", "unheard-of"}), ("dir", "rbd")), (None, None)):
        seen = replace(context.snapshot, storage=replace(storage(context), pool_types=known))
        for ident in ("pool.define", "pool.create"):
            fields = {field.name: field for field in BY_ID[ident].asked(replace(context, snapshot=seen), [None])}
            every = next(field.choices for field in BY_ID[ident].fields if field.name == "type")
            assert fields["type"].choices == (offered or every)


def test_a_transient_pool_is_one_step_that_its_undo_stops(context: Context) -> None:
    made = plan(context, "pool.create", name="new", target="/srv/new", build="yes")
    assert words(made.steps) == ["pool-create-as new dir --target /srv/new --build"]
    assert words(made.undo_steps()) == ["pool-destroy new"]
    assert any("transient" in note for note in made.notes)


def test_the_steps_of_a_new_pool_come_in_order(context: Context) -> None:
    made = plan(context, "pool.define", name="new one", target="/srv/new", build="yes", autostart="yes")
    assert [step.command[3:] for step in made.steps] == [
        ("pool-define-as", "new one", "dir", "--target", "/srv/new"),
        ("pool-build", "new one"),
        ("pool-start", "new one"),
        ("pool-autostart", "new one"),
    ]
    assert [step.command[3:] for step in made.undo_steps()] == [
        ("pool-destroy", "new one"),
        ("pool-undefine", "new one"),
    ]
    first = made.steps[0].request
    assert isinstance(first, DefinePoolAs)
    assert ET.fromstring(first.xml).findtext("uuid") == first.key
    assert {step.target for step in made.steps} == {first.key}


FILE = "<pool type='dir'><name>{name}</name>{uuid}<target><path>/srv/new</path></target></pool>"


def test_an_xml_file_takes_the_place_of_the_form(context: Context, tmp_path: Path) -> None:
    path = tmp_path / "pool.xml"
    path.write_text(FILE.format(name="new", uuid=""))
    made = plan(context, "pool.define", xml=str(path), start="no")
    assert words(made.steps) == [f"pool-define {path} --validate"]
    assert made.undo_steps() == ()
    old = named(context, "usb-backup")
    path.write_text(FILE.format(name="usb-backup", uuid=f"<uuid>{old.key}</uuid>"))
    made = plan(context, "pool.define", xml=str(path), start="no")
    assert made.steps[0].title == "redefine usb-backup"
    assert "usb-backup exists: its configuration is replaced" in made.notes
    assert words(made.undo_steps())[0].startswith("pool-define ")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<domain/>", "not a pool but a <domain>"),
        ("nothing", "not XML"),
        (FILE.format(name="images", uuid=""), "images exists already, with another UUID"),
    ],
)
def test_files_that_are_no_new_pool_are_refused(context: Context, tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "pool.xml"
    path.write_text(text)
    with pytest.raises(FieldError, match=f"xml: .*{said}"):
        plan(context, "pool.define", xml=str(path))


# Carried out on the test driver


def test_plans_are_carried_out_on_the_test_driver(demo_uri: str, tmp_path: Path) -> None:
    with watched(demo_uri, prepare=prepare, interval_s=30.0) as host:
        context = Context(host.board.snapshot, tmp_path / "kept")
        isos = named(context, "isos")
        handle = host.control().storagePoolLookupByName("isos")
        made = plan(context, "pool.undefine", isos)
        assert len(made.steps) == 2
        for step in made.steps:
            message = execute(step.request, host).message
        assert message.endswith("-isos.xml")
        with pytest.raises(OpError, match="It is gone: somebody else removed it"):
            execute(StartPool(isos.key), host)
        for step in made.undo_steps():
            execute(step.request, host)
        again = host.control().storagePoolLookupByName("isos")
        assert (again.UUIDString(), again.isActive()) == (isos.key, 1)
        del handle, again


def test_a_pool_in_use_is_not_stopped_by_what_was_planned_for_an_unused_one(demo_uri: str) -> None:
    with watched(demo_uri, prepare=prepare, interval_s=30.0) as host:
        handle = host.control().storagePoolLookupByName("images")
        with pytest.raises(OpError, match=r"stop images: running domains use its volumes: .*web-01"):
            execute(DestroyPool(handle.UUIDString(), unused=True), host)
        assert handle.isActive()
        execute(DestroyPool(handle.UUIDString(), unused=False), host)
        assert not handle.isActive()
        with pytest.raises(OpError, match=r"delete images: running domains use its volumes: .*web-01"):
            execute(DeletePool(handle.UUIDString()), host)
        del handle


# By name


def test_pools_and_volumes_are_found_by_name_key_and_path(context: Context) -> None:
    seen, pool = context.snapshot, named(context, "images")
    assert _target(Kind.POOL, seen, "images") is pool
    assert _target(Kind.POOL, seen, pool.key) is pool
    volume = storage(context).volumes_of(pool.key)[0]
    for word in (volume.raw_path, f"images/{volume.raw_name}", volume.key):
        assert _target(Kind.VOLUME, seen, word) is volume
    for kind, word in ((Kind.POOL, "nosuch"), (Kind.VOLUME, "images/nosuch"), (Kind.VOLUME, "images")):
        with pytest.raises(UsageError, match=f"no {kind.value} {word}"):
            _target(kind, seen, word)
    with pytest.raises(UsageError, match="the storage of this host is not read"):
        _target(Kind.POOL, replace(seen, storage=None), "images")


def test_every_action_on_pools_waits_for_storage_and_processes() -> None:
    assert all(set(BY_ID[ident].reads) == {"storage", "processes"} for ident in IDS)
    assert BY_ID["pool.define"].reads == ("storage",)
