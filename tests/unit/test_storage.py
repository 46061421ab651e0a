"""Storage as the model has it: pool and volume XML, who uses an image."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tui.model.domain import Domain, DomainState
from tui.model.domain_config import DomainConfig
from tui.model.domain_xml import parse_domain_xml
from tui.model.storage import Pool, PoolState, Storage
from tui.model.storage_xml import parse_pool, parse_pool_types, parse_volume
from tui.model.used_by import image_of, used_by
from tui.panes.storage_rows import StorageRow, state_cell

DIR = """<pool type='dir'><name>im\x9bages</name><uuid>u-1</uuid>
<capacity unit='GiB'>2</capacity><allocation unit='bytes'>1024</allocation><available unit='KiB'>7</available>
<source/><target><path>/srv/im</path></target></pool>"""
NETFS = """<pool type='netfs'><name>nas</name><uuid>u-2</uuid><source><host name='h1'/><host name='h2'/>
<dir path='/export'/><format type='nfs'/></source><target><path>/mnt</path></target></pool>"""
VOLUME = """<volume type='file'><name>top.qcow2</name><key>/srv/im/top.qcow2</key><source/>
<capacity unit='MiB'>3</capacity><allocation unit='bytes'>{allocation}</allocation><physical unit='bytes'>9</physical>
<target><path>/srv/im/top.qcow2</path><format type='qcow2'/></target>
<backingStore><path>/srv/im/base.qcow2</path><format type='qcow2'/></backingStore></volume>"""


def pool(state: PoolState = PoolState.RUNNING, xml: str = DIR) -> Pool:
    return parse_pool(xml, state, autostart=True, persistent=True)


# XML


def test_a_pool_has_its_sizes_in_bytes_and_a_name_that_can_be_shown() -> None:
    found = pool()
    assert (found.key, found.kind, found.path, found.source) == ("u-1", "dir", "/srv/im", "")
    assert (found.capacity_bytes, found.allocation_bytes, found.available_bytes) == (2 << 30, 1024, 7 << 10)
    assert found.raw_name == "im\x9bages"
    assert found.name.isprintable()


def test_of_a_pool_that_is_not_active_the_sizes_are_not_known() -> None:
    found = pool(PoolState.INACTIVE)
    assert (found.capacity_bytes, found.allocation_bytes, found.available_bytes) == (None, None, None)


@pytest.mark.parametrize(
    ("inner", "said"),
    [
        ("<host name='h1'/><host name='h2'/><dir path='/export'/>", "h1,h2:/export"),
        ("<device path='/dev/sdb'/><device path='/dev/sdc'/><name>vg0</name>", "/dev/sdb /dev/sdc vg0"),
        ("<adapter type='scsi_host' name='scsi_host0'/>", "scsi_host0"),
        ("<adapter type='fc_host' wwpn='10000000c9848140'/>", "10000000c9848140"),
        ("", ""),
    ],
)
def test_the_source_is_said_in_one_line(inner: str, said: str) -> None:
    assert pool(xml=f"<pool type='x'><name>a</name><source>{inner}</source></pool>").source == said


def test_nonsense_in_sizes_is_not_known() -> None:
    found = pool(xml="<pool type='dir'><name>a</name><capacity>much</capacity><allocation/></pool>")
    assert (found.capacity_bytes, found.allocation_bytes, found.path, found.raw_path) == (None, None, "", "")


def test_a_volume_has_its_chain_and_is_thin_while_it_may_grow() -> None:
    found = parse_volume(VOLUME.format(allocation=4096), "u-1")
    assert found.key == "u-1/top.qcow2"
    assert (found.format, found.kind, found.capacity_bytes, found.physical_bytes) == ("qcow2", "file", 3 << 20, 9)
    assert (found.raw_backing_path, found.backing_format) == ("/srv/im/base.qcow2", "qcow2")
    assert found.thin
    assert not parse_volume(VOLUME.format(allocation=3 << 20), "u-1").thin


@pytest.mark.parametrize(
    ("xml", "types"),
    [
        (
            "<storagepoolCapabilities><pool type='dir' supported='yes'/><pool type='rbd' supported='no'/>"
            "</storagepoolCapabilities>",
            frozenset({"dir"}),
        ),
        ("<storagepoolCapabilities/>", None),
        ("no XML", None),
    ],
)
def test_supported_types_are_those_that_say_yes(xml: str, types: frozenset[str] | None) -> None:
    assert parse_pool_types(xml) == types


@pytest.mark.parametrize(("volumes", "said"), [(0, "⚠ cannot be listed"), (3, "⚠ incomplete")])
def test_a_pool_that_is_not_read_in_full_says_so(volumes: int, said: str) -> None:
    broken = replace(pool(), problem="a.img: Storage volume not found")
    row = StorageRow("u-1", "images", broken, None, "", (), (), volumes)
    assert (state_cell(row).text, state_cell(row).style) == (said, "bad")


# Who uses an image


def disks(*inner: str) -> DomainConfig:
    text = f"<domain type='kvm'><name>g</name><devices>{''.join(inner)}</devices></domain>"
    return parse_domain_xml(text)


def file_disk(path: str, target: str = "vda", extra: str = "") -> str:
    return f"<disk type='file' device='disk'><source file='{path}'/>{extra}<target dev='{target}'/></disk>"


def guest(live: DomainConfig | None, later: DomainConfig | None) -> Domain:
    state = DomainState.RUNNING if live is not None else DomainState.SHUTOFF
    made = Domain("d-1", "g", "g", 1 if live is not None else None, state, "")
    return replace(made, config=live if live is not None else later, persistent_config=later)


@pytest.fixture
def storage() -> Storage:
    top = parse_volume(VOLUME.format(allocation=1), "u-1")
    base = replace(top, key="u-1/base.qcow2", raw_name="base.qcow2", raw_path="/srv/im/base.qcow2", raw_backing_path="")
    images = replace(pool(), raw_name="images")
    return Storage({"u-1": images}, {top.key: top, base.key: base}, 1)


def test_what_lies_below_an_image_is_used_too(storage: Storage) -> None:
    config = disks(file_disk("/srv/im/top.qcow2"))
    found = used_by([guest(config, config)], storage)
    assert set(found) == {"/srv/im/top.qcow2", "/srv/im/base.qcow2"}
    own, below = found["/srv/im/top.qcow2"][0], found["/srv/im/base.qcow2"][0]
    assert (own.layer, own.read_only, own.live, own.persistent, own.running) == (0, False, True, True, True)
    assert (below.layer, below.read_only) == (1, True)


def test_each_side_counts(storage: Storage) -> None:
    found = used_by([guest(disks(file_disk("/now.img")), disks(file_disk("/later.img")))], storage)
    assert [(u.live, u.persistent) for u in found["/now.img"]] == [(True, False)]
    assert [(u.live, u.persistent) for u in found["/later.img"]] == [(False, True)]
    off = used_by([guest(None, disks(file_disk("/later.img")))], storage)["/later.img"][0]
    assert (off.live, off.running) == (False, False)


def test_read_only_and_shareable_disks_say_so(storage: Storage) -> None:
    config = disks(file_disk("/a", "vda", "<readonly/>"), file_disk("/b", "vdb", "<shareable/>"))
    found = used_by([guest(config, None)], storage)
    assert (found["/a"][0].read_only, found["/a"][0].shareable) == (True, False)
    assert (found["/b"][0].read_only, found["/b"][0].shareable) == (False, True)


def test_a_disk_that_names_a_volume_is_found_by_its_path(storage: Storage) -> None:
    config = disks(
        "<disk type='volume' device='disk'><source pool='images' volume='top.qcow2'/><target dev='vda'/></disk>"
    )
    disk = config.disks[0]
    assert image_of(disk, storage) == "/srv/im/top.qcow2"
    assert image_of(disk, None) == "images/top.qcow2", "of a pool that is not active the path is not known"


def test_a_chain_that_runs_in_a_circle_ends(storage: Storage) -> None:
    base = storage.volumes["u-1/base.qcow2"]
    circle = {**storage.volumes, base.key: replace(base, raw_backing_path="/srv/im/top.qcow2")}
    config = disks(file_disk("/srv/im/top.qcow2"))
    found = used_by([guest(config, None)], replace(storage, volumes=circle))
    assert set(found) == {"/srv/im/top.qcow2", "/srv/im/base.qcow2"}
