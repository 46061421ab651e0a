"""Disks: their XML, what is said to be free for them, whose image it is, and the plans of it all on no host at all."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tui.actions import BY_ID
from tui.actions import disk_images as images
from tui.actions.base import Context, FieldError, TargetError, make_plan
from tui.model.disk_source import location_of, network_source
from tui.model.disk_xml import NewDisk, find_disk, free_target, iotune_of, plain, source_of, with_medium
from tui.model.domain import Domain, DomainState
from tui.model.domain_xml import differences, parse_domain_xml
from tui.model.host import Connection, ConnectionState, Host
from tui.model.image_header import backing_of
from tui.model.plan import Plan
from tui.model.snapshot import HostSnapshot
from tui.model.storage import Pool, PoolState, Storage, Volume
from tui.model.usage import DiskUsage, DomainUsage
from tui.ops.disks import AttachDisk, DetachDisk

UUID = "6a9dbb1e-8a50-4bb2-9c2b-6f9f4b6f3c11"
_LIVE = """<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='/i/a' index='2'/>
<backingStore type='file' index='3'><source file='/i/base'/></backingStore><target dev='vda' bus='virtio'/>
<iotune><total_bytes_sec>1048576</total_bytes_sec><read_iops_sec>0</read_iops_sec></iotune>
<alias name='virtio-disk0'/><address type='pci' slot='0x05'/></disk>"""
_DRIVE = """<disk type='file' device='cdrom'><driver name='qemu' type='raw'/><source file='/i/old.iso'/>
<target dev='sda' bus='sata'/><readonly/></disk>"""


def disk(target: str, path: str, *, bus: str = "virtio", kind: str = "qcow2", extra: str = "") -> str:
    """A disk as libvirt tells of it."""
    made = ET.fromstring(NewDisk(path, False, kind, target, bus).xml())
    made.extend(ET.fromstring(f"<x>{extra}</x>"))
    return ET.tostring(made, encoding="unicode")


def domain(name: str, live: tuple[str, ...] | None, later: tuple[str, ...] | None, key: str = UUID) -> Domain:
    """A domain with these disks on each side; None: it has no such side."""

    def config(disks: tuple[str, ...]) -> str:
        root = ET.Element("domain", type="kvm")
        ET.SubElement(ET.SubElement(root, "os"), "type", arch="x86_64", machine="pc").text = "hvm"
        ET.SubElement(root, "devices").extend(ET.fromstring(text) for text in disks)
        return ET.tostring(root, encoding="unicode")

    now = None if live is None else parse_domain_xml(config(live))
    then = None if later is None else parse_domain_xml(config(later))
    state = DomainState.RUNNING if now else DomainState.SHUTOFF
    number = 1 if now else None
    return Domain(
        key, name, name, number, state, "", later is not None, config=now or then, persistent_config=then
    )  # fmt: skip


def volume(name: str, form: str, *, kind: str = "file", backing: str = "", capacity: int | None = None) -> Volume:
    """A volume of the pool `p`."""
    path = f"/p/{name}"
    return Volume(
        f"P/{name}", "P", name, name, path, path, kind, form, capacity, 0, 0, backing, backing, ""
    )  # fmt: skip


def context(
    *domains: Domain, volumes: tuple[Volume, ...] = (), local: bool = False, active: bool = True, capacity: int = 0
) -> Context:
    """A host that is elsewhere unless said: only what libvirt tells is known of its files."""
    state = PoolState.RUNNING if active else PoolState.INACTIVE
    pool = Pool("P", "p", "p", "dir", state, True, True, None, None, None, "/p", "/p", "")
    storage = Storage({"P": pool}, {found.key: found for found in volumes}, 0)
    host = Host("here", "QEMU", "9", "7", "x86_64", 1, 1, 1, local=local)
    connection = Connection("qemu:///system", ConnectionState.LIVE, 0, read_only=False)
    figures = DiskUsage("vda", None, None, None, None, None, None, capacity or None, None, None)
    usage = {
        UUID: DomainUsage(
            0,
            None,
            None,
            (),
            None,
            None,
            None,
            None,
            None,
            None,
            None,
            None,
            None,
            None,
            None,
            None,
            (figures,),
            None,
            None,
        )
    }
    there = {found.key: found for found in domains}
    return Context(HostSnapshot(0, 0, connection, host, domains=there, storage=storage, usage=usage), Path("/kept"))


def plan(where: Context, action: str, target: Domain, /, **values: str) -> Plan:
    """The plan of an action on one domain."""
    return make_plan(BY_ID[f"domain.{action}"], where, [target], values)


def xml_of(made: Plan) -> str:
    """The XML of the disk that the first step attaches."""
    request = made.steps[0].request
    assert isinstance(request, AttachDisk)
    return request.xml


def lines(made: Plan) -> list[str]:
    """What virsh is told, without the files' names."""
    return [" ".join(word for word in step.command[3:] if not word.startswith("/kept")) for step in made.steps]


def test_targets_go_on_after_z() -> None:
    taken = {f"vd{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"}
    assert free_target("virtio", set()) == "vda"
    assert free_target("virtio", taken) == "vdaa"
    assert free_target("scsi", {"sda", "vdb"}) == "sdb"
    assert free_target("ide", taken) == "hda"


def test_what_is_put_back_has_nothing_that_libvirt_finds_out_itself() -> None:
    back = ET.fromstring(plain(_LIVE))
    assert [child.tag for child in back] == ["driver", "source", "target", "iotune", "address"]
    assert source_of(back) == "/i/a"
    assert back.find("source[@index]") is None
    own = plain(_LIVE.replace("virtio-disk0", "ua-mine"))
    assert "ua-mine" in own


def test_limits_that_are_none_are_left_out() -> None:
    assert iotune_of(ET.fromstring(_LIVE)) == (("total_bytes_sec", 1048576),)


def test_a_medium_goes_in_and_out() -> None:
    drive = ET.fromstring(_DRIVE)
    assert source_of(ET.fromstring(with_medium(drive, "/i/new.iso", block=False))) == "/i/new.iso"
    block = ET.fromstring(with_medium(drive, "/dev/sr0", block=True))
    assert (block.get("type"), source_of(block)) == ("block", "/dev/sr0")
    assert source_of(ET.fromstring(with_medium(drive, "", block=False))) == ""
    assert source_of(drive) == "/i/old.iso"


def test_a_disk_is_found_by_its_target_alone() -> None:
    root = ET.fromstring(f"<domain><devices>{_LIVE}{_DRIVE}</devices></domain>")
    found = find_disk(root, "sda")
    assert found is not None
    assert found.get("device") == "cdrom"
    assert find_disk(root, "vdb") is None


def test_both_sides_get_the_same_target_and_each_its_own_step() -> None:
    one = domain("one", (disk("vda", "/p/a"),), (disk("vda", "/p/a"), disk("vdb", "/p/b")))
    made = plan(context(one, volumes=(volume("new", "qcow2"),)), "disk-attach", one, source="p/new")
    assert lines(made) == ["attach-device one --live", "attach-device one --config"]
    assert [step.command[3:] for step in made.undo_steps()] == [
        ("detach-disk", "one", "vdc", "--config"),
        ("detach-disk", "one", "vdc", "--live"),
    ]
    assert 'type="qcow2"' in xml_of(made)


@pytest.mark.parametrize(
    ("source", "given", "said"),
    [
        ("/p/lost", "header", "format: its header cannot be read from here; say whether it is raw or qcow2"),
        ("p/lv", "header", "format: its header cannot be read from here"),
        ("p/new", "raw", "format: its header says qcow2; as raw the guest would ruin it or read nonsense"),
        ("p/disk.vmfs", "header", "format: it is vmfs, which is not attached here"),
        ("p/remote", "header", "source: only files and block devices"),
        ("p/none", "header", "source: the pool p has no volume none"),
        ("q/none", "header", "source: no pool q; there are: p"),
    ],
)
def test_a_format_is_never_guessed(source: str, given: str, said: str) -> None:
    one = domain("one", None, ())
    kinds = (volume("new", "qcow2"), volume("lv", "", kind="block"), volume("disk.vmfs", "vmfs"))
    where = context(one, volumes=(*kinds, volume("remote", "raw", kind="network")))
    with pytest.raises(FieldError, match=said):
        plan(where, "disk-attach", one, source=source, format=given)


def test_a_block_device_is_attached_as_one() -> None:
    one = domain("one", None, ())
    where = context(one, volumes=(volume("lv", "", kind="block"),))
    made = plan(where, "disk-attach", one, source="p/lv", format="raw")
    assert "<source dev=" in xml_of(made)


def test_a_pool_that_is_off_is_said() -> None:
    one = domain("one", None, ())
    with pytest.raises(FieldError, match="source: the pool p is inactive; start it first"):
        plan(context(one, active=False), "disk-attach", one, source="p/x")


def test_a_disk_of_the_running_domain_can_be_made_to_stay() -> None:
    one = domain("one", (disk("vda", "/p/a"),), ())
    where = context(one, volumes=(volume("a", "qcow2"),))
    made = plan(where, "disk-attach", one, source="p/a", target="vda", where="persistent")
    assert lines(made) == ["attach-device one --config"]
    with pytest.raises(FieldError, match="one uses it as vda; two that write would ruin it"):
        plan(where, "disk-attach", one, source="p/a", where="persistent")


def test_another_disk_at_the_next_boot_is_not_taken_along() -> None:
    one = domain("one", (disk("vda", "/p/a"),), (disk("vda", "/p/b"),))
    with pytest.raises(FieldError, match="where: vda is another disk at the next boot; choose live or persistent"):
        plan(context(one), "disk-detach", one, device="vda")
    made = plan(context(one), "disk-detach", one, device="vda", where="live")
    assert lines(made) == ["detach-disk one vda --live"]
    assert made.losses() == ["what the guest has not yet written to vda"]


def test_a_drive_stays_while_the_domain_runs() -> None:
    one = domain("one", (_DRIVE,), (_DRIVE,))
    with pytest.raises(FieldError, match="device: a CD-ROM drive stays while the domain runs; o takes its medium out"):
        plan(context(one), "disk-detach", one, device="sda")


def test_the_medium_must_be_what_the_drive_reads() -> None:
    one = domain("one", (_DRIVE,), (_DRIVE,))
    where = context(one, volumes=(volume("x.qcow2", "qcow2"), volume("x.iso", "iso")))
    with pytest.raises(FieldError, match="source: its header says qcow2; as raw"):
        plan(where, "media", one, source="p/x.qcow2")
    made = plan(where, "media", one, source="p/x.iso", force="yes")
    assert lines(made) == [
        "change-media one sda /p/x.iso --update --force --live",
        "change-media one sda /p/x.iso --update --config",
    ]
    with pytest.raises(TargetError, match="sda has it in already"):
        plan(context(one, volumes=(volume("x", "iso"),)), "media", domain("o", None, (
            _DRIVE.replace("/i/old.iso", "/p/x"),)), source="p/x")  # fmt: skip


def test_a_size_is_at_least_what_it_is() -> None:
    one = domain("one", (disk("vda", "/p/a"),), ())
    where = context(one, capacity=10 * 1024**3)
    assert lines(plan(where, "disk-resize", one, size="+1G")) == ["blockresize one vda 11534336KiB"]
    for size in ("10G", "-1G", "1024"):
        with pytest.raises(FieldError, match="shrinking would cut off"):
            plan(where, "disk-resize", one, size=size)
    with pytest.raises(FieldError, match="the size of vda is not known"):
        plan(context(one), "disk-resize", one, size="20G")
    with pytest.raises(FieldError, match="it is shut off; its images are resized as volumes"):
        plan(context(), "disk-resize", domain("off", None, ()), size="20G")


def test_limits_that_are_not_given_stay_and_bursts_go_with_their_limit() -> None:
    limits = "<iotune><read_bytes_sec>100</read_bytes_sec><read_bytes_sec_max>2048</read_bytes_sec_max></iotune>"
    one = domain("one", None, (disk("vda", "/p/a", extra=limits),))
    (line,) = lines(plan(context(one), "disk-tune", one, write_iops="7"))
    assert "--read-bytes-sec 100 " in line
    assert "--write-iops-sec 7 " in line
    assert "--read-bytes-sec-max 2048 " in line
    (line,) = lines(plan(context(one), "disk-tune", one, read_bytes="0"))
    assert "--read-bytes-sec-max 0 " in line
    for values, said in (
        ({"read_bytes": "1M"}, "read_bytes: must not be above the 2048 a second that bursts are allowed"),
        ({"total_bytes": "1M"}, "total_bytes: libvirt takes a total or read_bytes, not both"),
        ({"total_iops": "x"}, "total_iops: must be a whole number"),
        ({"total_bytes": "x"}, "total_bytes: 'x' is no amount a second"),
        ({}, "total_bytes: give a limit; 0 is for none"),
    ):
        with pytest.raises(FieldError, match=said):
            plan(context(one), "disk-tune", one, **values)


def test_what_the_next_boot_changes_of_a_disk_is_said() -> None:
    limits = "<iotune><total_iops_sec>5</total_iops_sec></iotune>"
    one = domain("one", (disk("vda", "/p/a", extra=limits),), (disk("vda", "/p/a"),))
    assert one.config is not None
    assert one.persistent_config is not None
    (found,) = differences(one.config, one.persistent_config)
    assert (found.what, found.live, found.persistent) == (
        "disk vda", "virtio qcow2 /p/a total_iops_sec 5", "virtio qcow2 /p/a",
    )  # fmt: skip


@pytest.mark.parametrize("header", [b"", b"QFI", b"QFI\xfb" + b"\xff" * 16, b"plain text that is no image at all"])
def test_a_header_that_is_none_has_nothing_below(tmp_path: Path, header: bytes) -> None:
    path = tmp_path / "image"
    path.write_bytes(header)
    assert backing_of(str(path)) == ""
    assert backing_of(str(tmp_path / "gone")) == ""


@pytest.mark.parametrize(
    ("url", "xml"),
    [
        ("nbd://nas/vol", "<source protocol='nbd' name='vol'><host name='nas' port='10809'/></source>"),
        ("nbd://[fe80::1]:7/a%20b", "<source protocol='nbd' name='a b'><host name='fe80::1' port='7'/></source>"),
        (
            "nbd+unix:///vol?socket=/run/x.sock",
            "<source protocol='nbd' name='vol'><host transport='unix' socket='/run/x.sock'/></source>",
        ),
    ],
)
def test_an_export_on_the_network_is_the_same_word_in_and_out(url: str, xml: str) -> None:
    made = network_source(url)
    assert ET.tostring(made) == ET.tostring(ET.fromstring(xml))
    assert location_of(made) == url
    assert ET.fromstring(NewDisk(url, False, "raw", "vdb", "virtio").xml()).get("type") == "network"


@pytest.mark.parametrize("url", ["nbd:///vol", "nbd+unix:///vol", "nbd://nas:x/vol", "nbd://nas/vol?socket=/x"])
def test_what_names_no_export(url: str) -> None:
    with pytest.raises(FieldError, match="source: "):
        images.find_image(context(), "source", url, "raw")


def test_an_export_that_somebody_has_is_not_attached() -> None:
    new = NewDisk("nbd://nas/vol", False, "raw", "vda", "virtio").xml()
    other, web = domain("other", (new,), None, "other-key"), domain("web", (), ())
    with pytest.raises(FieldError, match="other uses it as vda; two that write would ruin it"):
        plan(context(other, web), "disk-attach", web, source="nbd://nas:10809/vol", format="raw")
    made = plan(context(web), "disk-attach", web, source="nbd://nas/vol", format="raw")
    back = made.undo_steps()[0].request
    assert isinstance(back, DetachDisk)
    assert back.source == "", "libvirt compares it by its XML"
