"""Block jobs: how they are told, which image of a chain a word means, what plans say, on no host at all."""

from __future__ import annotations

from dataclasses import replace

import libvirt
import pytest

from tests.unit.test_disks import UUID, context, disk, domain, lines, plan, volume
from tui.actions import BY_ID
from tui.actions.base import Context, FieldError
from tui.actions.block_chain import layer
from tui.actions.undoing import as_of_now
from tui.model.block_job import BlockJob
from tui.model.domain import Domain
from tui.model.holders import Holder, held_words
from tui.model.plan import Confirm, Step
from tui.model.storage import PoolState
from tui.ops.block_jobs import CommitDisk, CopyDisk, EndBlockJob, PullDisk
from tui.ops.disks import DetachDisk
from tui.ops.volumes import DeleteVolume
from tui.panes.disk_figures import job_lines
from tui.panes.domain_rows import DomainRow
from tui.sources.block_jobs import read_block_jobs

_BELOW = """<backingStore type='file'><source file='/p/one'/><backingStore type='file'><source file='/p/base'/>
<backingStore/></backingStore></backingStore>"""
_MIB = 1024 * 1024


def layered(*, extra: str = "") -> Domain:
    """A running domain whose vda is /p/two on /p/one on /p/base."""
    there = disk("vda", "/p/two", extra=_BELOW + extra)
    return domain("web", (there,), (disk("vda", "/p/two"),))


def chain_volumes() -> tuple[object, ...]:
    return (volume("two", "qcow2", backing="/p/one"), volume("one", "qcow2", backing="/p/base"), volume("base", "raw"))


def host(*domains: Domain, jobs: tuple[BlockJob, ...] | None = (), capacity: int = 8 * _MIB) -> Context:
    """A host with these domains, the images of `layered` in the pool p, and block jobs of the domain."""
    made = context(*domains, volumes=chain_volumes(), capacity=capacity)  # type: ignore[arg-type]
    usage = {UUID: replace(made.snapshot.usage[UUID], block_jobs=jobs)}
    return replace(made, snapshot=replace(made.snapshot, usage=usage, unread=frozenset()))


def with_pool(where: Context, *, kind: str = "dir", free: int | None = None, state: PoolState = PoolState.RUNNING) -> Context:  # noqa: E501 # fmt: skip
    """The host with a second pool `q` in /q."""
    storage = where.snapshot.storage
    assert storage is not None
    more = replace(
        storage.pools["P"], key="Q", name="q", raw_name="q", kind=kind, raw_path="/q", available_bytes=free, state=state
    )
    return replace(
        where, snapshot=replace(where.snapshot, storage=replace(storage, pools={**storage.pools, "Q": more}))
    )


# How they are told


def test_a_job_says_its_share_rate_and_limit() -> None:
    job = BlockJob("vda", "copy", 25, 100, 2 * _MIB, 1.5 * _MIB)
    assert job.words == "copy 25%, 1.5M/s, at most 2.0M/s"
    assert replace(job, done_bytes=100, limit_bytes_per_s=0).words == "copy ready to pivot"
    assert replace(job, kind="pull", done_bytes=100, limit_bytes_per_s=0, rate_bytes_per_s=None).words == "pull 100%"
    assert BlockJob("vda", "commit", 0, 0, 0).words == "commit begins"
    assert not BlockJob("vda", "commit", 100, 100, 0).ready, "a commit below the top ends by itself"


def test_the_test_driver_has_none() -> None:
    connection = libvirt.open("test:///default")
    assert read_block_jobs(connection.lookupByName("test"), ["vda"]) == ()


def test_the_tab_shows_the_job_of_its_disk_and_where_it_goes() -> None:
    made = layered(extra="<mirror type='file' job='copy'><source file='/q/two'/></mirror>")
    where = host(made, jobs=(BlockJob("vda", "copy", 1, 2, 0), BlockJob("vdb", "pull", 1, 2, 0)))
    row = DomainRow(UUID, made, None, where.snapshot.usage[UUID], None, (), None, "", None, ())
    assert made.config is not None
    said = ["".join(span.text for span in line).split() for line in job_lines(row, made.config.disks[0])]
    assert [words[-2:] for words in said] == [["copy", "50%"], ["to", "/q/two"]]


# Which image, and who else has it


@pytest.mark.parametrize(("word", "found"), [("0", 0), ("2", 2), ("/p/one", 1), ("base", 2)])
def test_an_image_of_a_chain_by_path_name_or_number(word: str, found: int) -> None:
    assert layer({"base": word}, "base", ("/p/two", "/p/one", "/p/base")) == found


def test_a_name_that_two_images_have_means_neither() -> None:
    with pytest.raises(FieldError, match="more than one image is that; 0: x, 1: x"):
        layer({"base": "x"}, "base", ("/a/x", "/b/x"))


def test_who_lies_on_an_image_below_is_named() -> None:
    other = domain("other", None, (disk("vdb", "/p/side"),), "other-key")
    made = layered()
    where = host(made, other)
    storage = where.snapshot.storage
    assert storage is not None
    side = replace(volume("side", "qcow2", backing="/p/one"), key="P/side")
    more = replace(storage, volumes={**storage.volumes, "P/side": side})
    where = replace(where, snapshot=replace(where.snapshot, storage=more))
    with pytest.raises(FieldError, match=r"ruin what others read: other \(vdb\), side \(lies on it\)"):
        plan(where, "disk-commit", made, base="base")
    assert held_words([Holder("side", "", False, False)]) == "side (lies on it)"


# What plans say


def test_the_commands_of_commit_and_pull() -> None:
    made = layered()
    where = host(made)
    commit = plan(where, "disk-commit", made)
    assert lines(commit) == ["blockcommit web vda --base /p/one --active --pivot"]
    assert commit.confirm is Confirm.ASK
    assert commit.steps[0].request == CommitDisk(UUID, "vda", "/p/two", "/p/two", "/p/one")
    middle = plan(where, "disk-commit", made, top="1", limit="2M")
    assert lines(middle) == ["blockcommit web vda --base /p/base --top /p/one --wait --bandwidth 2097152 --bytes"]
    assert lines(plan(where, "disk-pull", made)) == ["blockpull web vda --wait"]
    pull = plan(where, "disk-pull", made, base="base")
    assert lines(pull) == ["blockpull web vda --base /p/base --wait"]
    assert pull.steps[0].request == PullDisk(UUID, "vda", "/p/two", "/p/base")


def test_a_move_makes_a_volume_and_its_undo_goes_back_before_it_deletes() -> None:
    made = layered()
    moved = plan(with_pool(host(made)), "disk-move", made)
    assert lines(moved) == [
        "vol-create-as q two 8388608 --allocation 0 --format qcow2",
        "blockcopy web vda --dest /q/two --format qcow2 --reuse-external --transient-job --pivot",
    ]
    assert {step.target for step in moved.steps} == {UUID}, "one after the other"
    back = moved.undo_steps()
    assert [type(step.request) for step in back] == [CopyDisk, DeleteVolume]
    steps, _notes = as_of_now(back, with_pool(host(made)))
    assert [type(step.request) for step in steps] == [CopyDisk, DeleteVolume]


def test_a_volume_goes_after_a_running_guest_gave_its_disk_back() -> None:
    made = layered()
    live = Step("live", (), DetachDisk(UUID, True, "vdb", "/q/new"), UUID)
    later = Step("later", (), DetachDisk(UUID, False, "vdb", "/q/new"), UUID)
    gone = Step("gone", (), DeleteVolume("Q", "new"), UUID)
    steps, _notes = as_of_now((live, later, gone), host(made))
    assert [step.title for step in steps] == ["later", "live", "gone"]


def test_a_pool_that_makes_no_volumes_or_has_no_room() -> None:
    made = layered()
    for pool, said in (
        ({"kind": "iscsi"}, "libvirt makes no volumes in a pool of type iscsi"),
        ({"kind": "logical"}, "has raw volumes only, and this is qcow2"),
        ({"state": PoolState.INACTIVE}, "it is inactive; start it first"),
    ):
        with pytest.raises(FieldError, match=said):
            plan(with_pool(host(made), **pool), "disk-move", made, pool="q")
    full = plan(with_pool(host(made), free=4 * _MIB), "disk-move", made, pool="q")
    assert "web: q has 4.0M free, less than the 8.0M that the disk may grow to" in full.notes


def test_a_disk_that_no_job_is_begun_on() -> None:
    for there, said in (
        (disk("vda", "/p/two", extra="<readonly/>"), "vda is read-only"),
        (disk("vda", "/p/two", extra="<shareable/>", kind="raw"), "vda is shared"),
        (disk("vda", "/p/two", kind="vmdk"), "vda is vmdk, not raw or qcow2"),
    ):
        made = domain("web", (there, disk("vdb", "/p/base", kind="raw")), None)
        with pytest.raises(FieldError, match=said):
            plan(host(made), "disk-copy", made, device="vda", to="p/new")
    made = layered()
    with pytest.raises(FieldError, match=r"a block job is under way on vda \(pull 50%\)"):
        plan(host(made, jobs=(BlockJob("vda", "pull", 1, 2, 0),)), "disk-pull", made)


def test_the_end_of_a_job() -> None:
    made = layered(extra="<mirror type='file' job='copy' ready='yes'><source file='/q/two'/></mirror>")
    action = BY_ID["domain.disk-job"]
    assert action.reason(host(made, jobs=None), made) == "its block jobs are read while its detail is open"
    ready = host(made, jobs=(BlockJob("vda", "copy", 2, 2, 0),))
    pivot = plan(ready, "disk-job", made, end="pivot")
    assert (lines(pivot), pivot.confirm) == (["blockjob web vda --pivot"], Confirm.NONE)
    assert pivot.steps[0].request == EndBlockJob(UUID, "vda", 2, pivot=True)
    abort = plan(ready, "disk-job", made)
    assert (lines(abort), abort.confirm) == (["blockjob web vda --abort"], Confirm.ASK)
    pull = host(made, jobs=(BlockJob("vda", "pull", 2, 2, 0),))
    with pytest.raises(FieldError, match="a pull does not pivot"):
        plan(pull, "disk-job", made, end="pivot")


def test_a_new_volume_is_made_before_it_is_attached() -> None:
    made = layered()
    new = plan(with_pool(host(made)), "disk-attach", made, source="q/data", capacity="1G", where="persistent")
    assert lines(new) == ["vol-create-as q data 1073741824 --allocation 0 --format qcow2", "attach-device web --config"]
    assert [type(step.request) for step in new.undo_steps()] == [DetachDisk, DeleteVolume]
    with pytest.raises(FieldError, match="source: p has a volume two already"):
        plan(host(made), "disk-attach", made, source="p/two", capacity="1G")


def test_an_image_that_a_copy_is_written_to_is_in_use() -> None:
    """libvirt deletes it, and attaches it to others."""
    made = layered(extra="<mirror type='file' job='copy'><source file='/p/new'/></mirror>")
    where = host(made)
    storage = where.snapshot.storage
    assert storage is not None
    new = replace(volume("new", "qcow2"), key="P/new")
    where = replace(
        where, snapshot=replace(where.snapshot, storage=replace(storage, volumes={**storage.volumes, "P/new": new}))
    )
    assert BY_ID["volume.delete"].reason(where, new) == "it is used by web (vda, running)"
    other = domain("other", None, (), "other-key")
    with pytest.raises(FieldError, match="web uses it as vda; two that write would ruin it"):
        plan(where, "disk-attach", other, source="/p/new", format="qcow2")


def test_a_disk_of_a_domain_that_is_off() -> None:
    off = domain("web", None, (disk("vda", "/p/base", kind="raw"),))
    where = with_pool(host(off))
    moved = plan(where, "disk-move", off, name="new")
    said = [" ".join(word for word in step.command[3:] if not word.startswith("/kept")) for step in moved.steps]
    assert said == ["vol-create-from q base --inputpool p", "update-device web --config"]
    assert not moved.undo_steps()
    for values, reason in (
        ({"pool": "p"}, "vda lies in p already; give another pool, or a name"),
        ({"limit": "1M"}, "limit: only while the domain runs"),
        ({"device": "vdq"}, "it has no disk vdq"),
    ):
        with pytest.raises(FieldError, match=reason):
            plan(where, "disk-move", off, **values)
    saved = replace(off, managed_save=True)
    assert "its saved state goes on with the old image" in str(BY_ID["domain.disk-move"].reason(where, saved))


def test_a_copy_that_needs_no_other_image_needs_room_for_those_below() -> None:
    off = domain("web", None, (disk("vda", "/p/-two"),))
    top = replace(volume("-two", "qcow2", backing="/p/base", capacity=8 * _MIB), allocation_bytes=1 * _MIB)
    base = replace(volume("base", "qcow2", capacity=8 * _MIB), allocation_bytes=4 * _MIB)
    made = context(off, volumes=(top, base))
    where = replace(made, snapshot=replace(made.snapshot, unread=frozenset()))
    with pytest.raises(FieldError, match=r"q has 4\.0M free, and what is to be copied takes 5\.0M"):
        plan(with_pool(where, free=4 * _MIB), "disk-move", off, pool="q", name="new")
    said = lines(plan(with_pool(where, free=5 * _MIB), "disk-move", off, pool="q", name="new"))
    assert said[0] == "vol-create-from q --vol -two --inputpool p", "virsh would take the name for an option"


def test_the_image_that_snapshots_lie_in_is_not_deleted_after_a_move() -> None:
    for made in (domain("web", None, (disk("vda", "/p/base"),)), layered()):
        made = replace(made, snapshots=True)
        where = with_pool(host(made, capacity=8 * _MIB))
        with pytest.raises(FieldError, match=r"old: snapshots of web may lie in (base|two); keep it, or delete them"):
            plan(where, "disk-move", made, pool="q", old="delete")
        assert "web: its snapshots stay with the old image" in plan(where, "disk-move", made, pool="q").notes


def test_a_size_that_no_qcow2_volume_can_have() -> None:
    made = layered()
    with pytest.raises(FieldError, match="vda has 1049088 bytes; libvirt makes qcow2 volumes of whole KiB"):
        plan(with_pool(host(made, capacity=1049088)), "disk-move", made, pool="q")
