"""Proof on the wire, on request only: who answers ARP on a link (RFC 826, RFC 5227), and whether an address answers a
ping (RFC 792). It sends at most three small packets a question."""

from __future__ import annotations

import os
import select
import socket
import struct
import time
from typing import TYPE_CHECKING

from tui.model.route import ProbeAnswer, ProbeKind, ProbeQuestion
from tui.model.text import clean

if TYPE_CHECKING:
    from collections.abc import Callable

_TRIES = 3
_WAIT_S = 0.4
_MORE_S = 0.1
"""How long others than the first to answer are waited for: two that have one address both do."""
_ETH_ARP, _ETH_ALEN, _ARP_REQUEST, _ARP_REPLY = 0x0806, 6, 1, 2
_ARP = struct.Struct("!HHBBH6s4s6s4s")
"""Hardware and protocol type, their lengths, operation, sender's MAC and address, target's MAC and address."""
_ECHO, _ECHO_REPLY = 8, 0
_ICMP = struct.Struct("!BBHHH")


def probe(question: ProbeQuestion, link: str) -> ProbeAnswer:
    """Return who answers, asked by the link of that raw name in the namespace that the calling thread is in; waits for
    1.3 s at most."""
    if ":" in question.address:
        return ProbeAnswer(problem="IPv6 is not probed")
    try:
        return _arp(question, link) if question.kind is ProbeKind.ARP else _ping(question, link)
    except OSError as error:
        return ProbeAnswer(problem=clean(error.strerror or str(error)))


def _arp(question: ProbeQuestion, link: str) -> ProbeAnswer:
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC, socket.htons(_ETH_ARP)) as raw:
        raw.bind((link, _ETH_ARP))
        own = raw.getsockname()[4]
        wanted = socket.inet_aton(question.address)
        # Without an address of its own it asks as one that looks whether the address is free.
        sender = socket.inet_aton(question.sender or "0.0.0.0")
        request = _ARP.pack(1, 0x0800, _ETH_ALEN, 4, _ARP_REQUEST, own, sender, bytes(6), wanted)

        def answer(packet: bytes) -> str | None:
            if len(packet) < _ARP.size:
                return None
            _, _, _, _, operation, mac, address, _, _ = _ARP.unpack_from(packet)
            return mac.hex(":") if operation == _ARP_REPLY and address == wanted else None

        return _asked(raw, lambda: raw.sendto(request, (link, _ETH_ARP, 0, 0, b"\xff" * _ETH_ALEN)), answer)


def _ping(question: ProbeQuestion, link: str) -> ProbeAnswer:
    with socket.socket(socket.AF_INET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.IPPROTO_ICMP) as raw:
        if link:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, link.encode(errors="surrogateescape"))
        ident = os.getpid() & 0xFFFF
        head = _ICMP.pack(_ECHO, 0, 0, ident, 1)
        packet = _ICMP.pack(_ECHO, 0, _checksum(head), ident, 1)

        def answer(received: bytes) -> str | None:
            start = (received[0] & 0x0F) * 4 if received else 0
            if len(received) < start + _ICMP.size:
                return None
            kind, _, _, other, _ = _ICMP.unpack_from(received, start)
            fits = kind == _ECHO_REPLY and other == ident
            return socket.inet_ntoa(received[12:16]) if fits else None

        return _asked(raw, lambda: raw.sendto(packet, (question.address, 0)), answer)


def _asked(raw: socket.socket, send: Callable[[], int], answer: Callable[[bytes], str | None]) -> ProbeAnswer:
    """Send until somebody answers, and take in for a moment who else does."""
    found: list[str] = []
    took_ms: float | None = None
    for _ in range(_TRIES):
        send()
        began = time.monotonic()
        end = began + _WAIT_S
        while (left := end - time.monotonic()) > 0:
            if not select.select([raw], [], [], left)[0]:
                break
            who = answer(raw.recv(2048))
            if who is None:
                continue
            if took_ms is None:
                took_ms, end = (time.monotonic() - began) * 1000, time.monotonic() + _MORE_S
            found += [who] if who not in found else []
        if found:
            break
    return ProbeAnswer(tuple(found), took_ms)


def _checksum(data: bytes) -> int:
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return int(~(total + (total >> 16)) & 0xFFFF)
