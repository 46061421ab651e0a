"""What readers need to know of a libvirt error without knowing libvirt."""

from __future__ import annotations

import libvirt

from tui.model.text import clean

LibvirtError: type[Exception] = libvirt.libvirtError
"""What every libvirt call may raise."""

_GONE = frozenset({libvirt.VIR_ERR_NO_DOMAIN})
_LOST = frozenset({libvirt.VIR_ERR_NO_CONNECT, libvirt.VIR_ERR_INVALID_CONN, libvirt.VIR_ERR_RPC})

NO_CALL = (libvirt.VIR_ERR_NO_SUPPORT, libvirt.VIR_ERR_OPERATION_UNSUPPORTED)
"""The codes of a driver that does not have a call."""


def _code(error: Exception) -> int | None:
    return error.get_error_code() if isinstance(error, libvirt.libvirtError) else None


def is_gone(error: Exception) -> bool:
    """Whether the error says that the domain is not there any more."""
    return _code(error) in _GONE


def is_lost(error: Exception) -> bool:
    """Whether the error says that the connection is not there any more."""
    return _code(error) in _LOST


def words(error: Exception) -> str:
    """Return libvirt's text of an error, cleaned."""
    text = error.get_error_message() if isinstance(error, libvirt.libvirtError) else None
    return clean(text or str(error))
