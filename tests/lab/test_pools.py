"""Storage pools on a real libvirtd: every action against its command, who uses a pool, and pools that are broken."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from xml.etree import ElementTree as ET

import libvirt
import pytest

from tests.bench.hosts import session_daemon
from tests.lab.actions import run_commands, virtdeck
from tests.lab.domain import Shape, blank_xml, disk_xml
from tests.lab.host import LabHost
from tests.lab.namespaces import run
from tests.lab.pool_cases import CASES, ELSEWHERE
from tests.lab.storage_twins import PoolCase, StorageDeck, try_case
from tui import ops
from tui.actions import ACTIONS
from tui.actions.base import FieldError, FieldKind
from tui.model.journal import Status
from tui.model.kind import Kind
from tui.model.plan import Confirm, Plan
from tui.ops.base import Outcome
from tui.ops.pools import CreatePoolAs, DefinePoolAs, SetPoolAutostart
from tui.runtime.jobs import Job


@pytest.fixture
def deck(lab: LabHost, tmp_path: Path) -> Iterator[StorageDeck]:
    """virtdeck on the lab's host."""
    with StorageDeck(lab.uri, tmp_path / "home") as made:
        yield made


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_pool_twins(lab: LabHost, deck: StorageDeck, tmp_path: Path, case: PoolCase) -> None:
    try_case(lab, deck, tmp_path, case)


@pytest.mark.parametrize("broken", ["op", "command"])
def test_pool_twins_notice_what_does_nothing(
    lab: LabHost, deck: StorageDeck, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    if broken == "op":
        monkeypatch.setitem(ops._OPS, SetPoolAutostart, lambda _request, _context: Outcome("done"))
    else:
        monkeypatch.setattr("tui.actions.pool_steps.virsh", lambda uri, *_words: ("virsh", "-c", uri, "uri"))
    case = next(case for case in CASES if case.id == "autostart-on")
    with pytest.raises(AssertionError, match="what virtdeck did is not what the command did"):
        try_case(lab, deck, tmp_path, case)


def test_every_pool_action_and_every_value_has_a_twin() -> None:
    cases: list[tuple[str, Mapping[str, str]]] = [*((case.action, case.values) for case in CASES), *ELSEWHERE]
    ours = [action for action in ACTIONS if action.id.startswith("pool.")]
    assert {action for action, _values in cases} <= {action.id for action in ours}
    for action in ours:
        given = {ident for ident, _values in cases}
        if action.id not in given:
            assert action.id in {"pool.scheduler"}, f"{action.id} has no twin"
            continue
        for asked in action.fields:
            wanted = ("no", "yes") if asked.kind is FieldKind.FLAG else asked.choices
            default = {"start": "yes"}.get(asked.name, wanted[0] if wanted else "")
            found = {values.get(asked.name, default) for ident, values in cases if wanted and ident == action.id}
            assert found == set(wanted), f"{action.id} has no twin for every {asked.name}"


# The form against virsh


FORMS: tuple[tuple[str, dict[str, str]], ...] = (
    ("dir", {"target": "/srv/x"}),
    ("fs", {"target": "/srv/x", "source": "/dev/sdz1", "format": "xfs"}),
    ("netfs", {"target": "/srv/x", "source": "nas1:/export"}),
    ("logical", {"source": "vg9", "target": "/dev/vg9"}),
    ("disk", {"source": "/dev/sdz", "format": "gpt"}),
    ("iscsi", {"source": "san1:iqn.2020-01.org.example:d"}),
    ("iscsi", {"source": "san1:iqn.2020-01.org.example:d", "auth": "me san1"}),
    ("iscsi-direct", {"source": "san1:iqn.2020-01.org.example:d iqn.2020-01.org.example:us", "auth": "me san1"}),
    ("vstorage", {"source": "cluster", "target": "/srv/x"}),
    ("scsi", {"source": "scsi_host9"}),
    ("mpath", {}),
    ("rbd", {"source": "mon1:pool", "auth": "admin 2ec115d7-3a88-3ceb-bc12-0ac909a6fd87"}),
    ("gluster", {"source": "g1:vol/some/dir"}),
    ("zfs", {"source": "tank /dev/sdz"}),
)


@pytest.mark.parametrize("action", ["pool.define", "pool.create"])
@pytest.mark.parametrize(("kind", "values"), FORMS, ids=[kind for kind, _values in FORMS])
def test_the_form_makes_the_xml_that_its_command_prints(
    lab: LabHost, deck: StorageDeck, monkeypatch: pytest.MonkeyPatch, action: str, kind: str, values: dict[str, str]
) -> None:
    """Also of types that this libvirt has no backend for: virsh prints them all the same."""
    monkeypatch.setattr("tui.actions.pool_form._check_type", lambda _context, _kind: None)
    step = deck.plan(action, name="new", type=kind, **values).steps[0]
    assert isinstance(step.request, DefinePoolAs | CreatePoolAs)
    printed = run([*step.command, "--print-xml"]).stdout
    ours = ET.fromstring(step.request.xml)
    assert [item for item in _items(ours) if item[0] != "uuid"] == _items(ET.fromstring(printed))


@pytest.mark.parametrize("kind", ["fs", "netfs", "logical", "disk", "iscsi", "scsi", "mpath", "rbd", "gluster", "zfs",
                                  "iscsi-direct", "vstorage"])  # fmt: skip
def test_libvirt_takes_the_xml_of_every_type_that_it_has(lab: LabHost, deck: StorageDeck, kind: str) -> None:
    """Checked against its schema as well; what there is no server or device for here is not started."""
    values = next(values for known, values in reversed(FORMS) if known == kind)
    offered = deck.read().storage
    assert offered is not None
    assert offered.pool_types is not None
    if kind not in offered.pool_types:
        with pytest.raises(FieldError, match=f"type: this libvirt has no backend for {kind}; it has dir, fs"):
            deck.plan("pool.define", name=f"any-{kind}", type=kind, **values)
        return
    step = deck.plan("pool.define", name=f"any-{kind}", type=kind, start="no", **values).steps[0]
    assert isinstance(step.request, DefinePoolAs)
    with lab.connect() as connection:
        made = connection.storagePoolDefineXML(step.request.xml, libvirt.VIR_STORAGE_POOL_DEFINE_VALIDATE)
        kept = ET.fromstring(made.XMLDesc(libvirt.VIR_STORAGE_XML_INACTIVE))
        made.undefine()
    assert set(_items(ET.fromstring(step.request.xml))) <= set(_items(kept))


def test_a_transient_pool_is_forgotten_when_it_stops_and_its_files_stay(lab: LabHost, deck: StorageDeck) -> None:
    path = lab.images / "passing"
    job = deck.run(deck.plan("pool.create", name="passing", target=str(path), build="yes"))
    assert job.status is Status.DONE, job.results
    (path / "a.img").write_bytes(b"precious")
    stop = deck.plan("pool.destroy", "passing")
    assert stop.losses() == ["the pool itself: it is transient"]
    assert deck.run(stop).status is Status.DONE
    assert "passing" not in lab.virsh("pool-list", "--all", "--name").stdout
    assert (path / "a.img").read_bytes() == b"precious"


def _items(root: ET.Element) -> list[tuple[str, tuple[tuple[str, str], ...], str]]:
    """All elements that say something, in any order."""
    found = [(e.tag, tuple(sorted(e.attrib.items())), (e.text or "").strip()) for e in root.iter()]
    return sorted(item for item in found if item[1] or item[2])


# Who uses a pool


def _guest(lab: LabHost, name: str, image: Path, *, start: bool = True) -> None:
    run(["qemu-img", "create", "-q", "-f", "qcow2", str(image), "1M"])
    root = blank_xml(Shape(name=name, memory_mib=16, machine="pc"), lab.emulator)
    devices = root.find("devices")
    assert devices is not None
    devices.append(disk_xml(image, "vda"))
    lab.define(root, start=start)


def test_a_pool_under_a_running_domain_is_stopped_behind_its_name_alone(
    lab: LabHost, deck: StorageDeck, name: str
) -> None:
    path = lab.images / "used"
    key = lab.define_pool("used", path)
    # The pool has not looked since: it does not know of the image.
    _guest(lab, name, path / "a.qcow2")
    lab.virsh("pool-destroy", "used")
    with lab.connect() as connection:
        assert not connection.storagePoolLookupByUUIDString(key).isActive(), "libvirt itself does not mind"
    lab.virsh("pool-start", "used")
    plan = deck.plan("pool.destroy", "used")
    assert (plan.confirm, plan.phrase) == (Confirm.TYPE, "used")
    assert plan.losses() == [f"the pool under running domains: {name} (vda)"]
    job = deck.run(plan)
    assert job.status is Status.DONE, job.results
    assert not _active(lab, "used")
    assert deck.run(Plan("undo", "undo", job.entry.undo)).status is Status.DONE
    assert _active(lab, "used")


def test_a_pool_that_came_to_be_used_meanwhile_is_not_stopped(lab: LabHost, deck: StorageDeck, name: str) -> None:
    """Between the plan and its job, and between a change and its undo."""
    path = lab.images / "late"
    lab.define_pool("late", path, start=False)
    started = deck.run(deck.plan("pool.start", "late"))
    plan = deck.plan("pool.destroy", "late")
    assert plan.confirm is Confirm.NONE
    _guest(lab, name, path / "a.qcow2")
    for refused in (plan, Plan("undo", "undo", started.entry.undo)):
        job = deck.run(refused)
        assert job.status is Status.FAILED
        assert job.results[0].message == (f"stop late: running domains use its volumes: {name}. Nothing was changed.")
        assert _active(lab, "late")


def test_domains_that_are_off_are_named_and_keep_no_pool_from_stopping(
    lab: LabHost, deck: StorageDeck, name: str
) -> None:
    path = lab.images / "idle"
    lab.define_pool("idle", path)
    _guest(lab, name, path / "a.qcow2", start=False)
    plan = deck.plan("pool.destroy", "idle")
    assert plan.confirm is Confirm.NONE
    assert f"idle: used at the next boot of {name} (vda)" in plan.notes
    lab.virsh("pool-destroy", "idle")
    with pytest.raises(FieldError, match=f"idle is used by {name}"):
        deck.plan("pool.delete", "idle")


def _active(lab: LabHost, pool: str) -> bool:
    with lab.connect() as connection:
        return bool(connection.storagePoolLookupByName(pool).isActive())


# What is broken


def _failed(job: Job) -> str:
    assert job.status is Status.FAILED, job.results
    return job.problems()[0].message


def test_a_pool_whose_path_is_gone_says_so_and_loses_nothing(lab: LabHost, deck: StorageDeck) -> None:
    path = lab.images / "away"
    key = lab.define_pool("away", path)
    path.rmdir()
    text = _failed(deck.run(deck.plan("pool.refresh", "away")))
    assert "No such file or directory" in text
    assert text.endswith("libvirt stops a pool that it cannot read: it is inactive now; mend its path, then start it.")
    seen = deck.read().storage
    assert seen is not None
    assert seen.pools[key].state.value == "inactive"
    text = _failed(deck.run(deck.plan("pool.start", "away")))
    assert f"start away: cannot open directory '{path}': No such file or directory" in text
    assert "Look at its path on the host" in text
    assert deck.run(deck.plan("pool.build", "away")).status is Status.DONE
    assert deck.run(deck.plan("pool.start", "away")).status is Status.DONE


def test_a_volume_removed_underneath_hides_no_other(lab: LabHost, deck: StorageDeck) -> None:
    path = lab.images / "holes"
    key = lab.define_pool("holes", path)
    for name in ("a.img", "b.img"):
        (path / name).write_bytes(bytes(4096))
    lab.virsh("pool-refresh", "holes")
    (path / "a.img").unlink()
    seen = deck.read().storage
    assert seen is not None
    assert [volume.name for volume in seen.volumes_of(key)] == ["b.img"]
    assert seen.pools[key].problem.startswith("a.img: Storage volume not found")
    assert deck.run(deck.plan("pool.refresh", "holes")).status is Status.DONE
    again = deck.read().storage
    assert again is not None
    assert again.pools[key].problem == ""


def test_what_the_host_forbids_is_told(lab: LabHost, deck: StorageDeck) -> None:
    run_commands(deck.plan("pool.define", name="denied", target="/sys/denied", start="no").steps)
    text = _failed(deck.run(deck.plan("pool.build", "denied")))
    assert "failed to create directory '/sys/denied': Operation not permitted" in text
    assert text.endswith("The host forbids it, or something else is at that path.")


def test_a_directory_with_files_is_not_deleted(lab: LabHost, deck: StorageDeck) -> None:
    path = lab.images / "full"
    lab.define_pool("full", path, start=False)
    (path / "a.img").write_bytes(b"precious")
    plan = deck.plan("pool.delete", "full")
    assert (plan.confirm, plan.phrase, plan.losses()) == (Confirm.TYPE, "full", [f"the directory {path}"])
    assert "Directory not empty" in _failed(deck.run(plan))
    assert (path / "a.img").read_bytes() == b"precious"


def test_a_define_that_cannot_start_stays_defined_and_can_be_undone(lab: LabHost, deck: StorageDeck) -> None:
    job = deck.run(deck.plan("pool.define", name="nowhere", target=str(lab.images / "nowhere")))
    assert "No such file or directory" in _failed(job)
    undo = [step for step in job.entry.undo if step.title.startswith("undefine")]
    assert len(undo) == 1
    assert deck.run(Plan("undo", "undo", tuple(undo))).status is Status.DONE
    assert "nowhere" not in lab.virsh("pool-list", "--all", "--name").stdout


# By name, without the screen


def test_pools_are_changed_by_name_on_the_command_line(lab: LabHost, tmp_path: Path) -> None:
    key = lab.define_pool("named", lab.images / "named", start=False)
    done = virtdeck(lab.uri, tmp_path, "do", "pool.start", "named", "--yes")
    assert (done.returncode, done.stderr) == (0, "")
    assert _active(lab, "named")
    done = virtdeck(lab.uri, tmp_path, "do", "pool.destroy", key, "--plan")
    assert f"virsh -c '{lab.uri}' pool-destroy named" in done.stdout
    done = virtdeck(lab.uri, tmp_path, "do", "pool.start", "nosuch", "--yes")
    assert (done.returncode, done.stderr) == (2, "virtdeck: no pool nosuch\n")


def test_only_pools_are_in_here() -> None:
    assert {action.kind for action in ACTIONS if action.id.startswith("pool.")} == {Kind.POOL, Kind.HOST}


def test_a_directory_that_the_daemon_may_not_read_is_told_and_nothing_is_lost(tmp_path: Path) -> None:
    """A libvirtd that is not root, as of a user's session."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    with session_daemon() as socket, StorageDeck(f"qemu+unix:///session?socket={socket}", tmp_path / "home") as deck:
        job = deck.run(deck.plan("pool.define", name="closed", target=str(closed), autostart="yes"))
        text = _failed(job)
        assert f"start closed: cannot open directory '{closed}': Permission denied" in text
        assert text.endswith("Look at its path on the host: it is not there, is no directory, or may not be read.")
        seen = deck.read().storage
        assert seen is not None
        assert [(pool.name, pool.state.value, pool.autostart) for pool in seen.pools.values()] == [
            ("closed", "inactive", False)
        ]


@pytest.mark.parametrize(("kind", "said"), [("dir", "Nothing was deleted"), ("logical", "A part of it may be deleted")])
def test_what_a_delete_that_failed_left_is_said_as_far_as_it_is_known(
    lab: LabHost, deck: StorageDeck, tmp_path: Path, kind: str, said: str
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    source = ["--source-name", "vd-none", "--source-dev", "/dev/vd-none"] if kind == "logical" else []
    lab.virsh("pool-define-as", "left", kind, *source, "--target", str(tmp_path / "full"))
    job = deck.run(deck.plan("pool.delete", "left"))
    assert job.status is Status.FAILED
    assert said in str(job.results[0].hint)
