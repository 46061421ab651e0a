"""Frames in words; whatever bytes come, it never raises."""

from __future__ import annotations

import random
import socket
import struct

import pytest

from tui.model.packet import describe

ETHERNET = bytes.fromhex("020000000001020000000002")


def ipv4(protocol: int, data: bytes, *, fragment: int = 0) -> bytes:
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(data), 0, fragment, 64, protocol, 0)
    return ETHERNET + b"\x08\x00" + head + socket.inet_aton("10.0.0.5") + socket.inet_aton("203.0.113.9") + data


def ipv6(following: int, data: bytes) -> bytes:
    ends = socket.inet_pton(socket.AF_INET6, "fe80::1") + socket.inet_pton(socket.AF_INET6, "ff02::1")
    return ETHERNET + b"\x86\xdd" + struct.pack("!IHBB", 6 << 28, len(data), following, 255) + ends + data


def arp(operation: int) -> bytes:
    ends = bytes.fromhex("020000000002") + socket.inet_aton("10.0.0.5"), bytes(6) + socket.inet_aton("10.0.0.1")
    return ETHERNET + b"\x08\x06" + struct.pack("!HHBBH", 1, 0x0800, 6, 4, operation) + ends[0] + ends[1]


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (ipv4(1, struct.pack("!BBHHH", 8, 0, 0, 7, 3)), "10.0.0.5 > 203.0.113.9 ICMP echo request seq 3"),
        (ipv4(1, struct.pack("!BBHHH", 3, 1, 0, 0, 0)), "10.0.0.5 > 203.0.113.9 ICMP unreachable"),
        (ipv4(6, struct.pack("!HHIIBBHHH", 4000, 22, 0, 0, 0x50, 0x02, 0, 0, 0)),
         "10.0.0.5:4000 > 203.0.113.9:22 TCP [S]"),
        (ipv4(17, struct.pack("!HHHH", 68, 67, 8, 0)), "10.0.0.5:68 > 203.0.113.9:67 UDP"),
        (ipv4(17, b"", fragment=100), "10.0.0.5 > 203.0.113.9 a later fragment"),
        (ipv4(89, b""), "10.0.0.5 > 203.0.113.9 protocol 89"),
        (ipv6(58, bytes([135]) + bytes(7)), "fe80::1 > ff02::1 ICMPv6 neighbour solicitation"),
        (arp(1), "ARP who has 10.0.0.1 tell 10.0.0.5"),
        (arp(2), "ARP 10.0.0.5 is at 02:00:00:00:00:02"),
        (ETHERNET + b"\x81\x00\x00\x0a" + arp(1)[12:], "vlan 10 ARP who has 10.0.0.1 tell 10.0.0.5"),
        (ETHERNET + b"\x88\xcc", "02:00:00:00:00:02 > 02:00:00:00:00:01 type 0x88cc"),
        (b"\x02", "1 bytes that are cut short"),
    ],
)  # fmt: skip
def test_a_frame_is_told_in_a_line(frame: bytes, words: str) -> None:
    assert describe(frame) == words


def test_no_bytes_are_too_odd() -> None:
    chance = random.Random(7)
    kinds = (b"\x08\x00", b"\x86\xdd", b"\x08\x06", b"\x81\x00", b"")
    for _ in range(5000):
        frame = ETHERNET + chance.choice(kinds) + chance.randbytes(chance.randrange(80))
        assert describe(frame[: chance.randrange(len(frame) + 1)]).isprintable()
