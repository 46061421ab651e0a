"""dnsmasq as libvirt starts it and as an engineer does, in namespaces of their own, with real clients."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.host import LabHost
from tests.lab.namespaces import wait_until
from tests.lab.spaces import lab_netns, made_netns
from tui.model.dnsmasq import DhcpRange, Dnsmasq, Lease
from tui.model.link import Netns
from tui.sources.dnsmasq import read_dnsmasqs

MAC = "52:54:00:77:00:01"


@pytest.fixture
def router(lab: LabHost) -> Iterator[Netns]:
    """A namespace with a link r1-in that a client's link, cl0 in the lab's own namespace, is plugged into."""
    with made_netns(lab, "r1") as made:
        lab.run(["ip", "link", "add", "cl0", "address", MAC, "type", "veth", "peer", "name", "r1-in", "netns", "r1"])
        lab.run(["ip", "link", "set", "cl0", "up"])
        lab.run(["ip", "-n", "r1", "link", "set", "r1-in", "up"])
        lab.run(["ip", "-n", "r1", "address", "add", "10.9.0.1/24", "dev", "r1-in"])
        yield made


def serve(lab: LabHost, *options: str) -> int:
    """The pid of a dnsmasq in the router that runs in the foreground."""
    argv = ["dnsmasq", "--keep-in-foreground", "--user=root", "--port=0", "--no-ping", "--pid-file", *options]
    return lab.spawn(["ip", "netns", "exec", "r1", *argv])


def ask_for_lease(lab: LabHost, *options: str) -> None:
    lab.run(["busybox", "udhcpc", "-i", "cl0", "-n", "-q", "-f", "-s", "/bin/true", "-t", "20", "-T", "1", *options])


def of(pid: int) -> Dnsmasq | None:
    return next((dnsmasq for dnsmasq in read_dnsmasqs() if dnsmasq.pid == pid), None)


def wait_for(pid: int) -> Dnsmasq:
    wait_until(lambda: of(pid) is not None, "dnsmasq to run")
    found = of(pid)
    assert found is not None
    return found


def leases_of(pid: int) -> tuple[Lease, ...]:
    found = of(pid)
    return (found.leases if found is not None else None) or ()


def test_one_started_by_hand_gives_a_lease(lab: LabHost, router: Netns) -> None:
    leases = lab.root / "leases"
    arguments = ["--interface=r1-in", "--dhcp-range=10.9.0.50,10.9.0.99,1h", f"--dhcp-leasefile={leases}"]
    pid = serve(lab, "--conf-file=/dev/null", *arguments)
    found = wait_for(pid)
    assert (found.netns, found.interfaces, found.network) == (router.key, ("r1-in",), "")
    assert found.ranges == (DhcpRange("10.9.0.50", "10.9.0.99"),)
    assert (found.leases, found.lease_path) == ((), str(leases))
    ask_for_lease(lab, "-x", "hostname:web1")
    wait_until(lambda: bool(leases_of(pid)), "the lease")
    (lease,) = leases_of(pid)
    assert (lease.mac, lease.host) == (MAC, "web1")
    assert lease.address.startswith("10.9.0.")
    assert lease.expires_s is not None
    assert 3000 < lease.expires_s - time.time() <= 3600


def test_one_told_by_a_file_in_another_mount_namespace(lab: LabHost, router: Netns) -> None:
    """/run of the lab is not ours: the file is found where the process sees it."""
    folder = lab.root / "run" / "dns"
    folder.mkdir()
    (folder / "main.conf").write_text("interface=r1-in\nconf-dir=/run/dns/more,*.conf\n")
    (folder / "more").mkdir()
    (folder / "more" / "dhcp.conf").write_text("dhcp-range=10.9.0.10,10.9.0.20\ndhcp-leasefile=/run/dns/leases\n")
    assert not Path("/run/dns").exists()
    pid = serve(lab, "-C", "/run/dns/main.conf")
    found = wait_for(pid)
    assert (found.interfaces, found.ranges) == (("r1-in",), (DhcpRange("10.9.0.10", "10.9.0.20"),))
    assert (found.config_path, found.lease_path) == ("/run/dns/main.conf", "/run/dns/leases")
    ask_for_lease(lab)
    wait_until(lambda: [lease.mac for lease in leases_of(pid)] == [MAC], "the lease")


def test_hostile_names_expired_and_endless_leases(lab: LabHost, router: Netns) -> None:
    hostile = "\x1b]0;owned\x07\u202e[red]x"
    leases = lab.root / "leases"
    pid = serve(lab, "-C/dev/null", "-i", "r1-in", "-F", "10.9.0.50,10.9.0.99,infinite", "-l", str(leases))
    wait_for(pid)

    def written() -> bool:
        """dnsmasq may be about to write its own, empty list: it does so once at its start."""
        leases.write_text(f"0 {MAC} 10.9.0.51 {hostile} *\n1000 52:54:00:77:00:02 10.9.0.52 old *\n")
        time.sleep(0.1)
        return len(leases_of(pid)) == 1

    wait_until(written, "the lease")
    (lease,) = leases_of(pid)
    assert (lease.address, lease.expires_s) == ("10.9.0.51", None)
    assert lease.host.isprintable()
    assert "[red]x" in lease.host


def test_leases_that_cannot_be_read_are_unknown(lab: LabHost, router: Netns) -> None:
    leases = lab.root / "leases"
    pid = serve(lab, "-C/dev/null", "-i", "r1-in", "-F", "10.9.0.50,10.9.0.99", "-l", str(leases))
    wait_for(pid)
    wait_until(leases.exists, "the lease file")

    def replaced() -> bool:
        """dnsmasq may be about to write its own, empty list: it does so once at its start."""
        leases.unlink(missing_ok=True)
        made = lab.run(["mkfifo", str(leases)], check=False)
        time.sleep(0.1)
        return made.returncode == 0 and leases.is_fifo()

    wait_until(replaced, "the pipe in its place")
    found = of(pid)
    assert found is not None
    assert found.leases is None


def test_libvirt_s_own_with_the_lease_of_a_guest(lab: LabHost, name: str) -> None:
    subnet = lab.define_network("lan", bridge="virbr7", forward="nat")
    lab.define_guest(name, network="lan")
    lab.wait_console(name, f"LEASE eth0 10.77.{subnet}.")

    def ours() -> list[Dnsmasq]:
        return [dnsmasq for dnsmasq in read_dnsmasqs() if dnsmasq.netns == lab_netns(lab).key]

    wait_until(lambda: any(dnsmasq.leases for dnsmasq in ours()), "libvirt's helper to write the lease")
    (found,) = ours()
    assert (found.network, found.interfaces) == ("lan", ("virbr7",))
    assert found.ranges == (DhcpRange(f"10.77.{subnet}.10", f"10.77.{subnet}.200"),)
    assert found.leases is not None
    with lab.connect() as connection:
        told = connection.networkLookupByName("lan").DHCPLeases()
    assert [(lease.address, lease.mac) for lease in found.leases] == [(one["ipaddr"], one["mac"]) for one in told]
    assert [lease.expires_s for lease in found.leases] == [one["expirytime"] for one in told]
