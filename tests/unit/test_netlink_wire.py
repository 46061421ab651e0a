"""The wire format, also where it is broken; dumps that are cut into; events as marks."""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Callable

import pytest

from tui.sources.netlink.counters import parse_counters, usage_of
from tui.sources.netlink.events import Dirty, EventSocket, Part
from tui.sources.netlink.routes import parse_nexthops, parse_routes
from tui.sources.netlink.sockets import NetlinkError, NetlinkSocket
from tui.sources.netlink.vlans import parse_vlans
from tui.sources.netlink.wire import (
    attribute,
    attributes,
    chosen,
    each_attribute,
    message,
    messages,
    nest,
    number,
    signed,
    text,
)

_DONE, _ERROR = 3, 2


def test_attributes_are_padded_to_four_bytes() -> None:
    packed = attribute(3, b"eth0\0") + attribute(4, struct.pack("=I", 1500))
    assert len(packed) == 20
    assert attributes(packed) == {3: b"eth0\0", 4: struct.pack("=I", 1500)}
    assert chosen(packed, {4}) == {4: struct.pack("=I", 1500)}


def test_a_nest_is_known_by_its_type_without_the_flag() -> None:
    packed = nest(18, attribute(1, b"veth\0"))
    assert list(attributes(packed)) == [18]
    assert text(attributes(attributes(packed)[18])[1]) == "veth"


def test_several_of_one_type_keep_their_order() -> None:
    packed = attribute(53, b"a\0") + attribute(53, b"b\0")
    assert list(each_attribute(packed)) == [(53, b"a\0"), (53, b"b\0")]


@pytest.mark.parametrize(
    "broken", [b"", b"\x05", b"\x05\0\x01", b"\0\0\x01\0rest", b"\x03\0\x01\0xxxx", b"\xff\xff\x01\0ab"]
)
@pytest.mark.parametrize("read", [attributes, lambda data: dict(each_attribute(data)), lambda data: chosen(data, {1})])
def test_broken_attributes_end_the_reading(broken: bytes, read: Callable[[bytes], dict[int, bytes]]) -> None:
    assert set(read(attribute(9, b"good") + broken)) <= {9, 1}


def test_messages_of_one_read_and_a_cut_one() -> None:
    data = message(16, 2, 7, b"one!") + message(17, 0, 8, b"two") + b"\0"
    assert list(messages(data + b"\0\0\0"))[:2] == [(16, 2, 7, b"one!"), (17, 0, 8, b"two")]
    assert list(messages(message(16, 0, 1, b"x")[:10])) == []


def test_numbers_and_texts() -> None:
    assert number(struct.pack("=H", 4789)) == 4789
    assert signed(struct.pack("=i", -1)) == -1
    assert number(None) is signed(None) is None
    assert text(b"a\xff\0rest") == "a\udcff"


class _Script:
    """Stands in for a socket: gives what the kernel would, one read after the other."""

    def __init__(self, *reads: bytes) -> None:
        self.reads = list(reads)
        self.sent: list[bytes] = []

    def send(self, data: bytes) -> int:
        self.sent.append(data)
        return len(data)

    def recv(self, _size: int) -> bytes:
        return self.reads.pop(0)


def asking(*reads: bytes) -> tuple[NetlinkSocket, _Script]:
    """A NetlinkSocket on a script."""
    asked = NetlinkSocket.__new__(NetlinkSocket)
    script = _Script(*reads)
    asked._socket, asked._sequence = script, 0  # type: ignore[assignment]
    return asked, script


def test_a_dump_over_several_reads() -> None:
    asked, _script = asking(message(16, 2, 1, b"aaaa") + message(16, 2, 1, b"bbbb"), message(_DONE, 2, 1, bytes(4)))
    assert asked.dump(18, b"") == [b"aaaa", b"bbbb"]


def test_a_dump_that_changes_cut_into_is_asked_for_again() -> None:
    asked, script = asking(
        message(16, 2 | 0x10, 1, b"old!") + message(_DONE, 2, 1, bytes(4)),
        message(16, 2, 2, b"new!") + message(_DONE, 2, 2, bytes(4)),
    )
    assert asked.dump(18, b"") == [b"new!"]
    assert len(script.sent) == 2


def test_answers_to_an_earlier_question_are_passed_over() -> None:
    asked, _script = asking(message(16, 0, 99, b"late"), message(16, 0, 1, b"mine"))
    assert asked.get(18, b"") == b"mine"


def test_what_the_kernel_refuses_has_its_words() -> None:
    words = attribute(1, b"Unknown device type\0")
    refused = struct.pack("=i", -errno.EOPNOTSUPP) + message(18, 0, 1, b"")
    asked, _script = asking(message(_ERROR, 0x200 | 0x100, 1, refused + words))
    with pytest.raises(NetlinkError, match="Unknown device type") as caught:
        asked.get(18, b"")
    assert caught.value.unsupported
    assert caught.value.errno == errno.EOPNOTSUPP


def test_a_dump_that_ends_in_an_error() -> None:
    asked, _script = asking(message(_DONE, 2, 1, struct.pack("=i", -errno.EINVAL)))
    with pytest.raises(NetlinkError, match="Invalid argument"):
        asked.dump(18, b"")


def link_body(index: int, family: int = 0) -> bytes:
    return struct.pack("=BxHiII", family, 1, index, 0, 0)


class _Ears:
    """Stands in for the socket of events."""

    def __init__(self, *reads: tuple[int | None, bytes] | OSError) -> None:
        self.reads = list(reads)

    def recvmsg(self, _size: int, _space: int) -> tuple[bytes, list[tuple[int, int, bytes]], int, object]:
        if not self.reads:
            raise BlockingIOError
        read = self.reads.pop(0)
        if isinstance(read, OSError):
            raise read
        nsid, data = read
        return data, [] if nsid is None else [(270, 8, struct.pack("=i", nsid))], 0, None


def heard(*reads: tuple[int | None, bytes] | OSError, home_nsid: int | None = None) -> Dirty:
    """What is marked after these reads."""
    events = EventSocket.__new__(EventSocket)
    events._socket, events.home_nsid = _Ears(*reads), home_nsid  # type: ignore[assignment]
    dirty = Dirty()
    events.drain(dirty)
    return dirty


def test_events_of_links_mark_these_links_in_their_namespaces() -> None:
    dirty = heard((None, message(16, 0, 0, link_body(4))), (7, message(17, 0, 0, link_body(5))))
    assert {nsid: marks.links for nsid, marks in dirty.spaces.items()} == {None: {4}, 7: {5}}


def test_our_own_number_is_home() -> None:
    dirty = heard((3, message(16, 0, 0, link_body(4))), home_nsid=3)
    assert list(dirty.spaces) == [None]


@pytest.mark.parametrize(
    ("kind", "part"),
    [
        (20, Part.ADDRESSES),
        (25, Part.ROUTES),
        (28, Part.NEIGHBOURS),
        (32, Part.RULES),
        (80, Part.SETTINGS),
        (104, Part.ROUTES),
    ],
)
def test_other_events_mark_parts(kind: int, part: Part) -> None:
    assert heard((2, message(kind, 0, 0, bytes(16)))).spaces[2].parts == part


def test_what_a_bridge_tells_of_a_port_marks_its_vlans() -> None:
    marks = heard((None, message(16, 0, 0, link_body(4, family=7)))).spaces[None]
    assert marks.parts == Part.VLANS
    assert marks.links == {4}


def test_numbers_of_namespaces_given_and_ended() -> None:
    dirty = heard(
        (None, message(88, 0, 0, bytes(4) + attribute(1, struct.pack("=i", 5)))),
        (None, message(89, 0, 0, bytes(4) + attribute(1, struct.pack("=i", 6)))),
        (2, message(89, 0, 0, bytes(4) + attribute(1, struct.pack("=i", 5)))),
    )
    assert (dirty.fresh, dirty.dead) == ({5}, {6})


def test_lost_events_mark_everything() -> None:
    dirty = heard(OSError(errno.ENOBUFS, "no buffer space"), (None, message(16, 0, 0, link_body(4))))
    assert dirty.everything
    assert dirty.spaces[None].links == {4}


def test_nothing_heard_marks_nothing() -> None:
    assert not heard()


def test_rates_between_two_readings() -> None:
    before, after = (10, 20, 1000, 2000, 1, 0, 0, 5), (30, 20, 5000, 2000, 3, 1, 0, 4)
    usage = usage_of(after, before, 2_000_000_000)
    assert (usage.rx_packets_per_s, usage.rx_bytes_per_s, usage.tx_bytes_per_s) == (10.0, 2000.0, 0.0)
    # A counter that went back is no drop less.
    assert (usage.new_errors, usage.new_drops) == (3, 0)
    assert usage_of(after, None, 1).rx_bytes_per_s is None


def test_counters() -> None:
    values = tuple(range(1, 9))
    body = struct.pack("=BxxxII", 0, 7, 1) + attribute(1, struct.pack("=25Q", *values, *[0] * 17))
    assert parse_counters([body, body[:12]]) == {7: values}


def vlan_body(*infos: tuple[int, int]) -> bytes:
    return link_body(4, family=7) + nest(26, *(attribute(2, struct.pack("=HH", *info)) for info in infos))


def test_vlans_told_one_by_one_become_ranges() -> None:
    (ranges,) = parse_vlans([vlan_body((6, 1), (0, 10), (0, 11), (0, 12), (4, 13))]).values()
    assert [(one.first, one.last, one.pvid, one.untagged) for one in ranges] == [
        (1, 1, True, True), (10, 12, False, False), (13, 13, False, True),
    ]  # fmt: skip


def test_vlans_told_as_ranges() -> None:
    (ranges,) = parse_vlans([vlan_body((0x8, 1), (0x10, 4094))]).values()
    assert [(one.first, one.last) for one in ranges] == [(1, 4094)]


def route_body(*parts: bytes, family: int = 2, prefix: int = 0, kind: int = 1, flags: int = 0) -> bytes:
    return struct.pack("=BBBBBBBBI", family, prefix, 0, 0, 254, 3, 0, kind, flags) + b"".join(parts)


def test_a_route_by_way_of_the_other_family() -> None:
    via = attribute(18, struct.pack("=H", 10) + socket.inet_pton(socket.AF_INET6, "fe80::1"))
    (route,) = parse_routes([route_body(via, attribute(4, struct.pack("=I", 3)))], "1", {})
    assert (route.destination, route.hops[0].link, route.hops[0].gateway) == ("default", "1:3", "fe80::1")


def test_half_of_all_addresses_is_not_the_default_route() -> None:
    (route,) = parse_routes([route_body(attribute(1, bytes(4)), attribute(4, struct.pack("=I", 3)), prefix=1)], "1", {})
    assert route.destination == "0.0.0.0/1"


def test_a_group_of_nexthop_objects() -> None:
    def single(name: int, out: int) -> bytes:
        return bytes(8) + attribute(1, struct.pack("=I", name)) + attribute(5, struct.pack("=I", out))

    group = bytes(8) + attribute(1, struct.pack("=I", 9)) + attribute(2, struct.pack("=IBBH", 5, 3, 0, 0) + b"\1")
    found = parse_nexthops([single(5, 3), group], "1")
    assert [(hop.link, hop.weight) for hop in found[9]] == [("1:3", 4)]
