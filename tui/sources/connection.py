"""Connections to libvirt: opened on the caller's thread, kept alive, with one event loop for the process."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

# Before libvirt loads: it writes warnings to standard error, which is the screen.
os.environ.setdefault("LIBVIRT_LOG_OUTPUTS", "3:file:/dev/null")

import libvirt

from tui.model.host import NO_LIBVIRT
from tui.model.text import clean

# 4 s x 3: a daemon that stops is noticed in about 16 s; tighter cuts busy hosts off.
KEEPALIVE_INTERVAL_S = 4
KEEPALIVE_COUNT = 3

_loop_lock = threading.Lock()
_loop_running = False


class ConnectError(Exception):
    """A host that cannot be reached: libvirt's text, its code, and what to try."""

    def __init__(self, uri: str, text: str, code: int | None, advice: str) -> None:
        super().__init__(uri, text, code, advice)
        self.uri = uri
        self.text = text
        self.code = code
        self.advice = advice

    def __str__(self) -> str:
        return f"cannot connect to {self.uri}: {self.text}"


class NoAnswerError(ConnectError):
    """A host that neither accepted nor refused in time."""


def start_event_loop() -> None:
    """Register libvirt's default event loop and run it on a daemon thread; must come before the first open."""
    global _loop_running
    with _loop_lock:
        if _loop_running:
            return
        libvirt.registerErrorHandler(_quiet, None)
        libvirt.virEventRegisterDefaultImpl()
        threading.Thread(target=_run_loop, name="libvirt-events", daemon=True).start()
        _loop_running = True


def _quiet(_context: object, _error: object) -> None:
    """Keep libvirt from writing errors over the screen; they reach us as exceptions."""


def _run_loop() -> None:
    while True:
        # A failed iteration (EINTR while the process is stopped and continued) must not end event delivery.
        with contextlib.suppress(libvirt.libvirtError):
            libvirt.virEventRunDefaultImpl()


def driver_of(uri: str) -> str:
    """Return the driver of a connection URI without its transport: `qemu`, `test`, `lxc` ..."""
    return urlsplit(uri).scheme.partition("+")[0]


def is_shared_only(uri: str) -> bool:
    """Whether every open() of this URI is a host of its own, so that all work must share one connection: the test
    driver with a node file."""
    return driver_of(uri) == "test"


def is_local(uri: str) -> bool:
    """Whether the processes of the host behind `uri` run on this machine."""
    parts = urlsplit(uri)
    driver, _, transport = parts.scheme.partition("+")
    if uri == NO_LIBVIRT:
        return True
    return driver == "qemu" and transport in ("", "unix") and not parts.hostname


def without_prompts(uri: str) -> str:
    """Return `uri` such that ssh can never prompt on the terminal that the screen occupies."""
    parts = urlsplit(uri)
    if "ssh" not in parts.scheme.partition("+")[2]:
        return uri
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    query.setdefault("no_tty", "1")
    return urlunsplit(parts._replace(query=urlencode(query, safe="/:")))


def open_connection(uri: str, *, read_only: bool) -> Any:
    """Return a virConnect with keepalive on; blocks as long as the daemon does, so call it on a thread of your own.

    Raises ConnectError. Source: virConnectOpenAuth, virConnectSetKeepAlive.
    """
    start_event_loop()
    flags = libvirt.VIR_CONNECT_RO if read_only else 0
    try:
        connection = libvirt.openAuth(without_prompts(uri), [[], _no_credentials, None], flags)
    except libvirt.libvirtError as error:
        raise connect_error(uri, error) from error
    # The in-process drivers have no socket to keep alive and refuse.
    with contextlib.suppress(libvirt.libvirtError):
        connection.setKeepAlive(KEEPALIVE_INTERVAL_S, KEEPALIVE_COUNT)
    return connection


def open_within(uri: str, *, read_only: bool, deadline_s: float) -> Any:
    """Return open_connection's virConnect; raises NoAnswerError when it takes longer than `deadline_s`, leaving the
    attempt behind on a thread: virConnectOpen has no limit of its own, and a daemon that is stopped blocks it."""
    result: list[Any] = []
    failure: list[ConnectError] = []
    done = threading.Event()

    def attempt() -> None:
        try:
            result.append(open_connection(uri, read_only=read_only))
        except ConnectError as error:
            failure.append(error)
        done.set()

    threading.Thread(target=attempt, name="open", daemon=True).start()
    if not done.wait(deadline_s):
        raise NoAnswerError(clean(uri), f"no answer within {deadline_s:.0f} s", None, "Is libvirtd stopped?")
    if failure:
        raise failure[0]
    return result[0]


def _no_credentials(_credentials: object, _data: object) -> int:
    return -1


def connect_error(uri: str, error: libvirt.libvirtError) -> ConnectError:
    """Return the typed error for a failed open, with what to try next."""
    text = clean(error.get_error_message() or str(error))
    return ConnectError(clean(uri), text, error.get_error_code(), _advice(uri, text))


def _advice(uri: str, text: str) -> str:
    low = text.lower()
    if "permission denied" in low or "system bus" in low or "authentication" in low or "polkit" in low:
        return "Run as root or as a member of the group libvirt, or use qemu:///session."
    if "no such file" in low or "connection refused" in low or "failed to connect socket" in low:
        return "Is libvirtd running? Try: systemctl start libvirtd (or virtqemud.socket)."
    if "ssh" in uri or "no route" in low or "resolve" in low:
        return "Check that the host is reachable and that ssh logs in with a key and without a prompt."
    return "Check the URI with: virsh -c URI uri."


def is_alive(connection: Any) -> bool:
    """Whether libvirt still holds the connection for usable (virConnectIsAlive); never blocks."""
    try:
        return bool(connection.isAlive())
    except libvirt.libvirtError:
        return False


def on_close(connection: Any, callback: Callable[[int], None]) -> None:
    """Call `callback` with libvirt's close reason on the event thread when the connection breaks, where the driver
    can tell."""
    with contextlib.suppress(libvirt.libvirtError):
        connection.registerCloseCallback(lambda _conn, reason, _data: callback(reason), None)


def let_go(connection: Any) -> None:
    """Be told no more of a connection that others use as well; the last reference to it closes it."""
    with contextlib.suppress(libvirt.libvirtError):
        connection.unregisterCloseCallback()


def close(connection: Any) -> None:
    """Give a connection back; errors of an already dead one are of no interest."""
    let_go(connection)
    with contextlib.suppress(libvirt.libvirtError):
        connection.close()
