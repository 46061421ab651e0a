"""What qemu-img tells, as it is read and shown; who holds an image by headers and by XML; what is offered where."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.unit.test_disks import context, disk, domain, volume
from tui.actions import BY_ID
from tui.actions.base import Context, FieldError, make_plan
from tui.actions.volume_steps import holders_of
from tui.model.domain import Domain
from tui.model.holders import index_of
from tui.model.image_info import ImageCheck, ImageInfo, described, facts, form_of, parse_chain, parse_check
from tui.model.storage import Volume
from tui.ops import qemu_img
from tui.ops.base import CancelledError, OpError
from tui.sources import images

TOLD = [
    {
        "filename": "/p/t\x1bop", "format": "qcow2", "virtual-size": 1 << 30, "actual-size": 5 << 20,
        "cluster-size": 65536, "dirty-flag": True, "encrypted": True, "backing-filename": "low",
        "full-backing-filename": "/p/low", "backing-filename-format": "qcow2",
        "format-specific": {"type": "qcow2", "data": {
            "compat": "1.1", "lazy-refcounts": True, "refcount-bits": 16, "corrupt": True, "extended-l2": True,
            "compression-type": "zstd", "data-file": "/p/data", "encrypt": {"format": "luks"},
        }},
        "snapshots": [{"id": "1", "name": "be\x9bfore", "date-sec": 1700000000, "vm-state-size": 3 << 20}, "nonsense"],
    },
    {"filename": "/p/low", "format": "raw", "virtual-size": 1 << 30, "actual-size": "much"},
]  # fmt: skip


def test_a_chain_is_read_whole_and_can_be_shown() -> None:
    top, low = parse_chain(json.dumps(TOLD))
    assert (top.raw_path, top.path.isprintable()) == ("/p/t\x1bop", True)
    assert (top.form, top.virtual_bytes, top.cluster_bytes) == ("qcow2", 1 << 30, 65536)
    assert (top.raw_backing, top.backing_form) == ("/p/low", "qcow2")
    assert (top.corrupt, top.dirty, top.encryption, top.data_file) == (True, True, "luks", "/p/data")
    assert (low.form, low.actual_bytes, low.corrupt, low.encryption, low.raw_backing) == ("raw", None, None, "", "")
    said = described((top, low))
    assert said.replace("\n", "").isprintable()
    for words in ("qcow2 1.1", "16 bits, lazy", "zstd", "Corrupt", "3.0M of memory", "on /p/low"):
        assert words in said
    assert {(label, style) for label, _value, style in facts(top) if style} == {("Corrupt", "bad"), ("Dirty", "warn")}


def test_a_backing_format_that_is_not_said_is_a_warning() -> None:
    found = facts(ImageInfo("/a", "/a", "qcow2", 1, 1, raw_backing="/b"))
    assert ("Read as", "not said: QEMU guesses", "warn") in found


@pytest.mark.parametrize("text", ["", "no JSON", "[]", "3", '["x"]'])
def test_what_tells_of_no_image_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_chain(text)


def test_a_check_is_counted_in_words() -> None:
    found = parse_check(
        b'{"corruptions": 2, "leaks": 1, "check-errors": 0, "total-clusters": 1000, "allocated-clusters": 250,'
        b' "fragmented-clusters": 25, "compressed-clusters": 50, "leaks-fixed": 3}'
    )
    assert found.found() == "2 corruptions and 1 leaked cluster"
    assert found.fixed() == "3 leaked clusters"
    assert found.layout() == "250 of 1,000 clusters allocated (25 %), 10 % of them fragmented, 20 % compressed"
    assert (ImageCheck().found(), ImageCheck().fixed(), ImageCheck().layout()) == ("", "", "")
    assert ImageCheck(errors=1).found() == "1 error of the check itself"
    with pytest.raises(ValueError, match="no check"):
        parse_check("[]")


@pytest.mark.parametrize(("told", "form"), [("iso", "raw"), ("raw", "raw"), ("qcow2", "qcow2"), ("dir", ""), ("", "")])
def test_formats_are_called_as_qemu_calls_them(told: str, form: str) -> None:
    assert form_of(told) == form


# qemu-img in trouble


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Puts a script in the place of qemu-img."""

    def put(script: str) -> None:
        path = tmp_path / "qemu-img"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return put


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("exec sleep 60", "no answer within 0 s"),
        ("echo 'qemu-img: it is\tbroken' >&2; exit 1", "it is.broken"),
        ("exit 1", "qemu-img failed"),
        ("echo no JSON", "tells what cannot be read"),
        ("exec /nowhere/at/all", "not found"),
    ],
)
def test_an_image_that_cannot_be_read_says_why(
    program: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, script: str, said: str
) -> None:
    if "sleep" in script:
        monkeypatch.setattr(images, "_LIMIT_S", 0.3)
    program(script)
    with pytest.raises(images.ImageError, match=said):
        images.read_chain("/p/top", "qcow2")


class Asker:
    """What an op sees of a job: cancelled once it has said that it moves."""

    read_only = False

    def __init__(self, *, impatient: bool = False) -> None:
        self.moved: list[tuple[int, int | None]] = []
        self._impatient = impatient

    @property
    def cancelled(self) -> bool:
        return self._impatient and len(self.moved) > 1

    def leave_images(self, key: str) -> AbstractContextManager[None]:
        return nullcontext()

    def progress(self, done: int, total: int | None) -> None:
        self.moved.append((done, total))

    def control(self) -> Any:
        raise AssertionError("no connection is needed")

    def long(self, limit_s: float = 0.0, /) -> Any:
        raise AssertionError("no connection is needed")

    def leave(self) -> None:
        """Nothing was opened."""

    def release(self, connection: Any) -> None:
        """Nothing was opened."""


def test_progress_is_read_and_errors_are_kept(program: Callable[[str], None]) -> None:
    program(
        r"printf '    (0.00/100%%)\r    (12.50/100%%)\r'; sleep 0.3; printf '  (100.00/100%%)\r'; echo bad >&2; exit 4"
    )
    asker = Asker()
    ended = qemu_img.run(asker, ["convert"], "convert", "a", 1000)
    assert (asker.moved[0], asker.moved[-1]) == ((0, 1000), (1000, 1000))
    assert set(asker.moved) <= {(0, 1000), (125, 1000), (1000, 1000)}
    assert (ended.code, ended.why()) == (4, "bad")
    program("kill -9 $$")
    assert qemu_img.run(Asker(), ["check"], "check", "a").why() == "qemu-img was killed by signal 9"


def test_what_is_cancelled_is_ended_and_what_must_not_be_is_not(program: Callable[[str], None]) -> None:
    program(r"printf '(1.00/100%%)\r'; exec sleep 60")
    with pytest.raises(CancelledError, match="cancelled"):
        qemu_img.run(Asker(impatient=True), ["convert"], "convert", "a", 1000)
    program(r"printf '(1.00/100%%)\r'; sleep 0.3; exit 0")
    assert qemu_img.run(Asker(impatient=True), ["check"], "check", "a", 1000, stoppable=False).code == 0


def test_without_qemu_img_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(OpError, match=r"qemu-img: No such file or directory\. Install qemu-utils"):
        qemu_img.run(Asker(), ["check"], "check", "a")


# Who holds it


def test_a_holder_tells_as_what_it_reads_and_whether_it_names_the_chain() -> None:
    fixed = "<backingStore type='file'><format type='qcow2'/><source file='/p/low'/></backingStore>"
    off = domain("off", None, (disk("vda", "/p/top", kind="raw", extra=fixed),))
    assert off.persistent_config is not None
    (found,) = index_of([("off", [(False, off.persistent_config)])], None)["/p/top"]
    assert (found.form, found.fixed, found.running) == ("raw", True, False)
    (below,) = index_of([("off", [(False, off.persistent_config)])], None)["/p/low"]
    assert (below.form, below.writes) == ("", False)


def test_images_in_no_pool_are_followed_by_their_headers() -> None:
    off = domain("off", None, (disk("vda", "/elsewhere/top"),))
    assert off.persistent_config is not None
    sides = [("off", [(False, off.persistent_config)])]
    assert "/p/low" not in index_of(sides, None)
    headers = {"/elsewhere/top": "/elsewhere/middle", "/elsewhere/middle": "/p/low"}
    assert [holder.name for holder in index_of(sides, None, headers=headers)["/p/low"]] == ["off"]


def test_the_uppermost_place_and_the_running_side_count() -> None:
    live, later = (disk("vda", "/p/top"),), (disk("vda", "/p/low"), disk("vdb", "/p/low"))
    guest = domain("g", live, later)
    assert guest.config is not None
    assert guest.persistent_config is not None
    sides = [("g", [(True, guest.config), (False, guest.persistent_config)])]
    index = index_of(sides, None, headers={"/p/top": "/p/low"})
    assert [(h.target, h.running, h.writes) for h in index["/p/low"]] == [("vda", True, False), ("vdb", False, True)]
    assert [(h.target, h.running, h.writes) for h in index["/p/top"]] == [("vda", True, True)]


def test_who_holds_what_is_found_once_for_what_did_not_change() -> None:
    here, found = on(domain("on", (disk("vda", "/p/top"),), None))
    seen = here.snapshot
    assert [holder.name for holder in holders_of(seen, found["top"].raw_path)] == ["on"]
    assert holders_of(replace(seen, sequence=2), "/p/top")[0] is holders_of(seen, "/p/top")[0]
    assert holders_of(replace(seen, domains={}), "/p/top") == ()


# What is offered


def on(*domains: Domain, local: bool = True) -> tuple[Context, dict[str, Volume]]:
    """A host with a chain of two qcow2 volumes, a raw one and one of a block device."""
    top = replace(volume("top", "qcow2", backing="/p/low", capacity=1 << 20), backing_format="qcow2")
    low = volume("low", "qcow2", capacity=1 << 20)
    volumes = (top, low, volume("raw", "raw", capacity=1 << 20), volume("lv", "", kind="block"))
    seen = replace(context(*domains, volumes=volumes, local=local).snapshot, unread=frozenset())
    return Context(seen, Path("/kept")), {found.name: found for found in volumes}


IMAGE_ACTIONS = ("volume.info", "volume.check", "volume.rebase", "volume.commit")


@pytest.mark.parametrize("action", IMAGE_ACTIONS)
def test_qemu_img_is_run_on_files_of_this_machine_alone(action: str) -> None:
    elsewhere, found = on(local=False)
    assert (
        BY_ID[action].reason(elsewhere, found["top"]) == "qemu-img runs on the host itself, which is not this machine"
    )
    here, found = on()
    assert BY_ID[action].reason(here, found["top"]) is None
    assert BY_ID[action].reason(here, found["lv"]) == "it is a block; qemu-img is run on files alone"


def test_libvirt_converts_elsewhere_too_but_compresses_nowhere() -> None:
    elsewhere, found = on(local=False)
    plan = make_plan(BY_ID["volume.convert"], elsewhere, [found["top"]], {"name": "new"})
    assert plan.steps[0].command[3:5] == ("vol-create-from", "p")
    values = {"name": "new", "format": "qcow2", "compress": "yes"}
    with pytest.raises(FieldError, match="libvirt compresses nothing, and qemu-img runs on the host itself"):
        make_plan(BY_ID["volume.convert"], elsewhere, [found["top"]], values)


def test_who_uses_an_image_decides_what_is_offered() -> None:
    running = domain("on", (disk("vda", "/p/top"),), (disk("vda", "/p/top"),))
    here, found = on(running)
    for action in ("volume.check", "volume.rebase", "volume.commit", "volume.convert"):
        assert "it is used by on (vda, running)" in (BY_ID[action].reason(here, found["top"]) or "")
    assert BY_ID["volume.check"].reason(here, found["low"]) is None, "nobody writes to what lies below"
    other = domain("other", None, (disk("vda", "/p/low"),))
    here, found = on(other)
    reason = BY_ID["volume.commit"].reason(here, found["top"])
    assert reason == "/p/low below it is used by other (vda) too"
    misled = domain("misled", None, (disk("vda", "/p/top", kind="raw"),))
    here, found = on(misled)
    for action in ("volume.check", "volume.rebase", "volume.commit", "volume.convert"):
        assert BY_ID[action].reason(here, found["top"]) == "its header says qcow2, but misled reads it as raw"


def test_a_volume_of_the_same_name_in_another_pool_holds_the_base_too() -> None:
    here, found = on()
    above = replace(volume("same", "qcow2", backing="/p/top"), backing_format="qcow2")
    beside = replace(above, key="Q/same", pool="Q", raw_path="/q/same", raw_backing_path="/p/low")
    storage = here.snapshot.storage
    assert storage is not None
    for more, said in (((above,), None), ((above, beside), "/p/low below it is used by same (lies on it) too")):
        volumes = {**storage.volumes, **{one.key: one for one in more}}
        where = replace(here, snapshot=replace(here.snapshot, storage=replace(storage, volumes=volumes)))
        assert BY_ID["volume.commit"].reason(where, found["top"]) == said


def test_the_way_back_of_a_rebase_leads_to_the_old_image() -> None:
    here, found = on()
    plan = make_plan(BY_ID["volume.rebase"], here, [found["top"]], {"backing": ""})
    back = plan.undo_steps()
    words = ("rebase", "-p", "-f", "qcow2", "-t", "writethrough", "-b", "/p/low", "-F", "qcow2", "/p/top")
    assert back[0].command[1:] == words
    assert back[1].command[-2:] == ("pool-refresh", "p")
    assert (plan.steps[1].finishes, back[1].finishes) == (True, True), "libvirt goes by the old chain until then"


def test_an_old_image_of_no_said_format_has_no_way_back() -> None:
    here, found = on()
    silent = replace(found["top"], backing_format="")
    storage = here.snapshot.storage
    assert storage is not None
    seen = replace(here.snapshot, storage=replace(storage, volumes={**storage.volumes, silent.key: silent}))
    plan = make_plan(BY_ID["volume.rebase"], replace(here, snapshot=seen), [silent], {"backing": ""})
    assert plan.undo_steps() == ()
