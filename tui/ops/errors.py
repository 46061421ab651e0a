"""libvirt's errors as typed errors that say what to do next."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import libvirt

from tui.model.text import clean
from tui.ops.base import OpContext, OpError

# Advice by error code; a code says more than the text, which changes between versions.
_ADVICE = {
    libvirt.VIR_ERR_NO_SUPPORT: "The driver of this connection does not have this call.",
    libvirt.VIR_ERR_OPERATION_UNSUPPORTED: "The driver of this connection cannot do this.",
    libvirt.VIR_ERR_CONFIG_UNSUPPORTED: "This host's QEMU or libvirt cannot do this.",
    libvirt.VIR_ERR_OPERATION_DENIED: "The connection is read-only or lacks the right; run as root.",
    libvirt.VIR_ERR_AUTH_FAILED: "Run as root or as a member of the group libvirt.",
    libvirt.VIR_ERR_ACCESS_DENIED: "The access driver of libvirt forbids it.",
    libvirt.VIR_ERR_NO_DOMAIN: "It is gone: somebody else removed it.",
    libvirt.VIR_ERR_OPERATION_INVALID: "Its state does not allow this; look at the state again.",
    libvirt.VIR_ERR_OPERATION_TIMEOUT: "Another job holds it, or its QEMU does not answer.",
    libvirt.VIR_ERR_BLOCK_COPY_ACTIVE: "A block job is under way on the disk; J pivots or ends it.",
    libvirt.VIR_ERR_AGENT_UNRESPONSIVE: "No guest agent answers; use ACPI, or start qemu-guest-agent in the guest.",
    libvirt.VIR_ERR_NO_STORAGE_VOL: "Its file is gone; refresh the pool, and look again.",
    libvirt.VIR_ERR_DOM_EXIST: "Another domain has this name or UUID.",
    libvirt.VIR_ERR_NO_CONNECT: "The connection is lost; it is being reopened.",
}


def op_error(what: str, subject: str, error: libvirt.libvirtError) -> OpError:
    """Return the typed error for a libvirt error met while doing `what` on `subject`."""
    code = error.get_error_code()
    return OpError(what, clean(subject), clean(error.get_error_message() or str(error)), code, _ADVICE.get(code, ""))


@contextmanager
def doing(what: str, subject: str) -> Iterator[None]:
    """Turn every libvirtError inside into an OpError that says what was being done."""
    try:
        yield
    except libvirt.libvirtError as error:
        raise op_error(what, subject, error) from error


def domain(connection: Any, key: str, what: str) -> Any:
    """Return the virDomain of a UUID on `connection`; raises OpError when it is gone."""
    with doing(what, key):
        return connection.lookupByUUIDString(key)


def control_domain(context: OpContext, key: str, what: str) -> Any:
    """Return the virDomain of a UUID on the control connection; raises OpError."""
    return domain(context.control(), key, what)


@contextmanager
def _leaving(left: str) -> Iterator[None]:
    try:
        yield
    except OpError as error:
        error.advice = f"{error.advice} {left}".strip()
        raise


@contextmanager
def long_domain(context: OpContext, key: str, what: str, limit_s: float = math.inf, left: str = "") -> Iterator[Any]:
    """Give the virDomain of a UUID on a connection of its own, for a call that takes long by its nature, `limit_s` at
    most; every libvirtError inside becomes an OpError that says what was being done. `left` is added to the advice
    where the domain cannot be had at all: what earlier steps made for this one."""
    with _leaving(left):
        connection = context.long(limit_s)
    try:
        with _leaving(left):
            handle = domain(connection, key, what)
        try:
            with doing(what, handle.name()):
                yield handle
        finally:
            del handle
    finally:
        context.release(connection)
