"""How network namespaces are found and named: by mountinfo, by cgroup, by process."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tui.model.link import NetnsKind
from tui.sources.containers import container_in, engine_name
from tui.sources.namespaces import Found, describe, home_key, named_in, opened

_ID = "0123456789abcdef" * 4
_MOUNTINFO = r"""22 28 0:21 / /sys rw,nosuid shared:7 - sysfs sysfs rw
300 28 0:4 net:[4026532244] /run/netns/r1 rw shared:5 - nsfs nsfs rw
301 28 0:4 net:[4026532311] /run/netns/a\040b\134c\012 rw shared:5 - nsfs nsfs rw
302 28 0:4 mnt:[4026532400] /run/snapd/ns/lxd.mnt rw - nsfs nsfs rw
303 28 0:4 net:[4026532500] /run/docker/netns/0a1b2c3d4e5f rw - nsfs nsfs rw
304 28 0:50 /net:[4026532999] /mnt/odd rw - ext4 /dev/sda rw
"""


def test_files_of_network_namespaces(tmp_path: Path) -> None:
    path = tmp_path / "mountinfo"
    path.write_text(_MOUNTINFO)
    assert named_in(str(path)) == [
        ("4026532244", "/run/netns/r1"),
        ("4026532311", "/run/netns/a b\\c\n"),
        ("4026532500", "/run/docker/netns/0a1b2c3d4e5f"),
    ]
    assert named_in(str(tmp_path / "gone")) == []


@pytest.mark.parametrize(
    ("cgroup", "name"),
    [
        (f"/system.slice/docker-{_ID}.scope", _ID[:12]),
        (f"/docker/{_ID}", _ID[:12]),
        (f"/machine.slice/libpod-{_ID}.scope/container", _ID[:12]),
        (f"/kubepods.slice/kubepods-burstable.slice/kubepods-pod12.slice/cri-containerd-{_ID}.scope", _ID[:12]),
        (f"/kubepods/besteffort/pod8a/{_ID}", _ID[:12]),
        ("/lxc.payload.web/init.scope", "web"),
        ("/lxc/db", "db"),
        ("/machine.slice/systemd-nspawn@build.service/payload", "build"),
        (r"/machine.slice/machine-my\x2dbox.scope", "my-box"),
        (r"/machine.slice/machine-qemu\x2d1\x2dvm1.scope/libvirt/emulator", ""),
        ("/user.slice/user-0.slice/session-1.scope", ""),
        ("/", ""),
    ],
)
def test_containers_by_their_cgroup(cgroup: str, name: str) -> None:
    assert container_in(f"0::{cgroup}\n") == name


def test_the_engine_of_a_container_knows_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / _ID).mkdir()
    (tmp_path / _ID / "config.v2.json").write_text('{"Name": "/shop"}')
    podman = tmp_path / "containers.json"
    other = "f" * 64
    podman.write_text(json.dumps([{"id": other, "names": ["cellar"]}]))
    monkeypatch.setattr("tui.sources.containers._DOCKER", tmp_path)
    monkeypatch.setattr("tui.sources.containers._PODMAN", podman)
    assert engine_name(_ID) == "shop"
    assert engine_name(other) == "cellar"
    assert engine_name("0" * 64) == ""


def test_a_chosen_name_comes_before_one_that_an_engine_made_up() -> None:
    paths = ["/run/docker/netns/0a1b2c3d4e5f", "/run/netns/shop"]
    netns = describe(Found("1", paths=paths, ways=paths), 3, home=False)
    assert (netns.kind, netns.name, netns.nsid, netns.paths) == (NetnsKind.NAMED, "shop", 3, tuple(paths))


def test_without_any_name_the_oldest_process_gives_it() -> None:
    netns = describe(Found("1", pids=[os.getpid()]), None, home=False)
    assert netns.pid == os.getpid()
    assert netns.kind in (NetnsKind.PROCESS, NetnsKind.CONTAINER)
    if netns.kind is NetnsKind.PROCESS:
        assert netns.name.endswith(f"({os.getpid()})")


def test_our_own_is_the_host() -> None:
    netns = describe(Found(home_key()), 0, home=True)
    assert netns.home
    assert (netns.name, netns.pid) == ("host", None)


def test_a_file_that_leads_elsewhere_is_not_taken(tmp_path: Path) -> None:
    other = tmp_path / "no-namespace"
    other.write_text("")
    with pytest.raises(FileNotFoundError), opened(str(other), home_key()):
        pass
    with opened("/proc/self/ns/net", home_key()) as descriptor:
        assert str(os.fstat(descriptor).st_ino) == home_key()
