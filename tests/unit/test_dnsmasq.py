"""What dnsmasq was told, in all the ways that it can be told, and the leases of its files."""

from __future__ import annotations

import pytest

from tui.model.dnsmasq import DhcpRange, Lease
from tui.model.text import clean
from tui.sources.dnsmasq import parse_leases, parse_status
from tui.sources.dnsmasq_config import DEFAULT_CONFIG, DEFAULT_LEASES, DnsmasqConfig, parse_config, parse_range

LIBVIRT = "/var/lib/libvirt/dnsmasq/default.conf"
FILES = {
    LIBVIRT: """\
##WARNING:  THIS IS AN AUTO-GENERATED FILE. CHANGES TO IT ARE LIKELY TO BE
strict-order
user=libvirt-dnsmasq
pid-file=/run/libvirt/network/default.pid
except-interface=lo
bind-dynamic
interface=virbr0
dhcp-range=192.168.122.2,192.168.122.254,255.255.255.0
dhcp-no-override
dhcp-lease-max=253
addn-hosts=/var/lib/libvirt/dnsmasq/default.addnhosts
""",
    DEFAULT_CONFIG: "# nothing\ninterface=eth9 # a remark\nconf-dir=/etc/dnsmasq.d,*.conf\n",
    "/etc/dnsmasq.d/a.conf": "dhcp-range = 10.0.0.10 , 10.0.0.20 , 12h\nconf-file=/etc/dnsmasq.d/b.more\n",
    "/etc/dnsmasq.d/b.more": "dhcp-leasefile=/srv/leases\ninterface=eth8,eth7\n",
    "/etc/dnsmasq.d/.hidden.conf": "interface=never\n",
    "/etc/dnsmasq.d/a.conf~": "interface=never\n",
    "/loop": "conf-file=/loop\ninterface=eth1\n",
}


def names(folder: str) -> list[str]:
    return [path.rpartition("/")[2] for path in FILES if path.rpartition("/")[0] == folder]


def parse(*arguments: str) -> DnsmasqConfig:
    return parse_config(arguments, FILES.get, names)


def test_libvirt_s_own() -> None:
    script = "/usr/lib/libvirt/libvirt_leaseshelper"
    config = parse(f"--conf-file={LIBVIRT}", "--leasefile-ro", f"--dhcp-script={script}")
    assert config == DnsmasqConfig(
        interfaces=["virbr0"],
        ranges=[DhcpRange("192.168.122.2", "192.168.122.254")],
        serves_dhcp=True,
        config_path=LIBVIRT,
        script=script,
    )


def test_a_folder_whose_files_name_it_comes_to_an_end() -> None:
    """Whoever runs a dnsmasq in a container writes its files: nine of these would be read 9**8 times."""
    read: list[str] = []

    def again(path: str) -> str:
        read.append(path)
        assert len(read) < 2000
        return "conf-dir=/d\ninterface=eth1\n"

    config = parse_config(["--conf-dir=/d", "--conf-file=/d/0"], again, lambda _folder: [str(n) for n in range(9)])
    assert (len(read), set(config.interfaces)) == (1000, {"eth1"})


def test_long_options_with_and_without_equals() -> None:
    config = parse(
        "--interface=r1-in",
        "--interface",
        "r1-x",
        "--dhcp-range",
        "10.0.0.50,10.0.0.99",
        "--pid-file",
        "--conf-file=/dev/null",
    )
    assert config.interfaces == ["r1-in", "r1-x"]
    assert config.ranges == [DhcpRange("10.0.0.50", "10.0.0.99")]
    assert (config.config_path, config.lease_path) == ("/dev/null", DEFAULT_LEASES)


def test_short_options_together_and_apart() -> None:
    config = parse(
        "-kd", "-i", "eth0", "-zieth1", "-F10.0.0.5,10.0.0.6", "-l", "/tmp/l", "-C/dev/null", "-a", "::1,10.0.0.1"
    )
    assert config.interfaces == ["eth0", "eth1"]
    assert (config.lease_path, config.addresses) == ("/tmp/l", ["::1", "10.0.0.1"])


def test_without_a_file_the_default_is_read_with_all_that_it_names() -> None:
    config = parse("--keep-in-foreground")
    assert config.interfaces == ["eth9", "eth8", "eth7"]
    assert config.ranges == [DhcpRange("10.0.0.10", "10.0.0.20")]
    assert (config.config_path, config.lease_path) == (DEFAULT_CONFIG, "/srv/leases")


def test_a_file_that_names_itself_ends() -> None:
    assert set(parse("-C", "/loop").interfaces) == {"eth1"}


def test_one_that_serves_names_alone_keeps_no_leases() -> None:
    config = parse("-C/dev/null", "-i", "eth0")
    assert (config.serves_dhcp, config.lease_path) == (False, "")


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("10.0.0.1,10.0.0.9", DhcpRange("10.0.0.1", "10.0.0.9")),
        ("set:red,10.0.0.1,10.0.0.9,255.255.255.0,2h", DhcpRange("10.0.0.1", "10.0.0.9")),
        ("tag:x,interface:eth0,10.0.0.1,10.0.0.9", DhcpRange("10.0.0.1", "10.0.0.9")),
        ("10.0.0.7,255.255.255.0", DhcpRange("10.0.0.7", "10.0.0.7")),
        ("10.0.0.0,static", None),
        ("fd00::10,fd00::20,64,1h", DhcpRange("fd00::10", "fd00::20")),
        ("fd00::,ra-only", None),
        ("::1,::400,constructor:eth0", DhcpRange("::1", "::400")),
        ("nonsense", None),
    ],
)
def test_ranges(value: str, found: DhcpRange | None) -> None:
    assert parse_range(value) == found


def test_the_lease_file_of_dnsmasq() -> None:
    text = (
        "1764350000 52:54:00:00:00:01 10.0.0.51 web1 01:52:54:00:00:00:01\n"
        "0 52:54:00:00:00:02 10.0.0.52 * *\n"
        "duid 00:01:00:01:2e:aa\n"
        "1764350001 14137 fd00::17 six 00:01:00:01\n"
        "rubbish\n\n"
    )
    assert list(parse_leases(text)) == [
        Lease("10.0.0.51", "52:54:00:00:00:01", "web1", 1764350000),
        Lease("10.0.0.52", "52:54:00:00:00:02", "", None),
        Lease("fd00::17", "", "six", 1764350001),
    ]


def test_the_status_file_of_libvirt() -> None:
    text = """[
      {"ip-address": "10.0.0.7", "mac-address": "52:54:00:00:00:01", "hostname": "web1", "expiry-time": 1764350000},
      {"ip-address": "10.0.0.8", "mac-address": "52:54:00:00:00:02", "client-id": "x", "expiry-time": 0},
      7
    ]"""
    assert parse_status(text) == [
        Lease("10.0.0.7", "52:54:00:00:00:01", "web1", 1764350000),
        Lease("10.0.0.8", "52:54:00:00:00:02", "", None),
    ]


@pytest.mark.parametrize("text", ["[", "{}", "null", '[{"ip-address": "10.0.0.7"'])
def test_of_a_status_file_that_is_being_written_nothing_is_known(text: str) -> None:
    assert parse_status(text) is None


@pytest.mark.parametrize("text", ["", "[]", '[{"expiry-time": "x"}]'])
def test_a_status_file_with_little_in_it(text: str) -> None:
    found = parse_status(text)
    assert found is not None
    assert all(lease.expires_s is None for lease in found)


def test_names_that_guests_give_themselves_are_cleaned() -> None:
    hostile = "\x1b]0;owned\x07\u202e[red]x[/]"
    (lease,) = parse_leases(f"0 52:54:00:00:00:01 10.0.0.51 {hostile} *\n")
    assert lease.host == clean(hostile)
    assert lease.host.isprintable()
