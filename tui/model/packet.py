"""A captured frame in one line, as far as it tells where it came from and where it goes."""

from __future__ import annotations

import socket
import struct

_ARP, _IPV4, _IPV6, _VLAN = 0x0806, 0x0800, 0x86DD, 0x8100
_ICMP, _TCP, _UDP, _ICMP6 = 1, 6, 17, 58
_ICMP_WORDS = {0: "echo reply", 3: "unreachable", 5: "redirect", 8: "echo request", 11: "time exceeded"}
_ICMP6_WORDS = {
    1: "unreachable", 3: "time exceeded", 128: "echo request", 129: "echo reply", 133: "router solicitation",
    134: "router advertisement", 135: "neighbour solicitation", 136: "neighbour advertisement", 143: "listener report",
}  # fmt: skip
_FLAGS = ((0x02, "S"), (0x10, "."), (0x01, "F"), (0x04, "R"), (0x08, "P"))


def describe(frame: bytes) -> str:
    """Return an Ethernet frame in words: its VLAN, protocol, both ends; of one that is cut short what is there."""
    try:
        return _ethernet(frame)
    except (struct.error, IndexError, ValueError, OSError):
        return f"{len(frame)} bytes that are cut short"


def _ethernet(frame: bytes) -> str:
    kind, start = struct.unpack_from("!H", frame, 12)[0], 14
    vlan = ""
    while kind == _VLAN:
        tag, kind = struct.unpack_from("!HH", frame, start)
        vlan, start = f"{vlan}vlan {tag & 0xFFF} ", start + 4
    body = frame[start:]
    if kind == _ARP:
        return vlan + _arp(body)
    if kind == _IPV4:
        return vlan + _ipv4(body)
    if kind == _IPV6:
        return vlan + _ipv6(body)
    return f"{vlan}{frame[6:12].hex(':')} > {frame[:6].hex(':')} type 0x{kind:04x}"


def _arp(body: bytes) -> str:
    operation = struct.unpack_from("!H", body, 6)[0]
    mac, sender = body[8:14].hex(":"), socket.inet_ntoa(body[14:18])
    target = socket.inet_ntoa(body[24:28])
    return f"ARP who has {target} tell {sender}" if operation == 1 else f"ARP {sender} is at {mac}"


def _ipv4(body: bytes) -> str:
    length, protocol = (body[0] & 0x0F) * 4, body[9]
    ends = socket.inet_ntoa(body[12:16]), socket.inet_ntoa(body[16:20])
    if struct.unpack_from("!H", body, 6)[0] & 0x1FFF:
        return f"{ends[0]} > {ends[1]} a later fragment"
    return _payload(protocol, *ends, body[length:])


def _ipv6(body: bytes) -> str:
    source, destination = (socket.inet_ntop(socket.AF_INET6, body[at : at + 16]) for at in (8, 24))
    return _payload(body[6], source, destination, body[40:])


def _payload(protocol: int, source: str, destination: str, data: bytes) -> str:
    ends = f"{source} > {destination}"
    if protocol == _ICMP:
        return f"{ends} ICMP {_ICMP_WORDS.get(data[0], f'type {data[0]}')}{_sequence(data, data[0] in (0, 8))}"
    if protocol == _ICMP6:
        return f"{ends} ICMPv6 {_ICMP6_WORDS.get(data[0], f'type {data[0]}')}{_sequence(data, data[0] in (128, 129))}"
    if protocol not in (_TCP, _UDP):
        return f"{ends} protocol {protocol}"
    ports = struct.unpack_from("!HH", data)
    if protocol == _UDP:
        return f"{source}:{ports[0]} > {destination}:{ports[1]} UDP"
    flags = "".join(word for bit, word in _FLAGS if data[13] & bit)
    return f"{source}:{ports[0]} > {destination}:{ports[1]} TCP [{flags}]"


def _sequence(data: bytes, echo: bool) -> str:
    return f" seq {struct.unpack_from('!H', data, 6)[0]}" if echo else ""
