"""A session on a guest's serial console: text to wait for, and commands with their exit status."""

from __future__ import annotations

import codecs
import re
import secrets
import shlex
import threading
import time
from contextlib import suppress
from types import TracebackType

import libvirt

_CHUNK = 65536


class Console:
    """A console stream on a connection of its own (shared with calls it stalls), read by a thread that blocks in it."""

    def __init__(self, uri: str, name: str) -> None:
        """Open the console, taking it over from another session; libvirt.libvirtError when the domain does not run."""
        self._name = name
        self._text = ""
        self._ended = False
        self._news = threading.Condition()
        libvirt.registerErrorHandler(lambda _context, _error: None, None)
        self._connection = libvirt.open(uri)
        self._stream = self._connection.newStream(0)
        self._connection.lookupByName(name).openConsole(None, self._stream, libvirt.VIR_DOMAIN_CONSOLE_FORCE)
        self._reader = threading.Thread(target=self._read, name=f"console {name}", daemon=True)
        self._reader.start()

    def __enter__(self) -> Console:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def text(self) -> str:
        """All that the guest wrote since the console was opened."""
        with self._news:
            return self._text

    def send(self, text: str) -> None:
        """Type text."""
        data = text.encode()
        while data:
            data = data[self._stream.send(data) :]

    def wait_for(self, text: str, timeout: float = 30) -> str:
        """All text up to and with the awaited one; TimeoutError when it does not come, EOFError at the end."""
        return self._wait(re.compile(re.escape(text)), timeout)[0]

    def run(self, command: str, timeout: float = 30) -> tuple[int, str]:
        """The exit status and the output (both streams) of a shell command in the guest, typed at its prompt."""
        tag = secrets.token_hex(4)
        # What is typed comes back as an echo: it must not contain the marks themselves, so printf puts them together.
        self.send(f"printf '%s-begin\\n' {tag}; eval {shlex.quote(command)}; printf '\\n%s-end %s\\n' {tag} $?\n")
        marks = re.compile(rf"{tag}-begin\r*\n(.*?)\r*\n{tag}-end (\d+)\r*\n", re.DOTALL)
        _, output, status = self._wait(marks, timeout)
        return int(status), re.sub(r"\r+\n", "\n", output).removesuffix("\n")

    def close(self) -> None:
        """End the session."""
        with suppress(libvirt.libvirtError):
            self._stream.abort()
        self._reader.join(timeout=5)
        with suppress(libvirt.libvirtError):
            self._connection.close()

    def _wait(self, pattern: re.Pattern[str], timeout: float) -> tuple[str, ...]:
        """The text up to the pattern's match and its groups."""
        end = time.monotonic() + timeout
        with self._news:
            while (found := pattern.search(self._text)) is None:
                if self._ended:
                    raise EOFError(f"the console of {self._name} ended after {self._text[-300:]!r}")
                if not self._news.wait(end - time.monotonic()):
                    raise TimeoutError(f"waited {timeout:g} s on the console of {self._name}: {self._text[-300:]!r}")
            return self._text[: found.end()], *found.groups()

    def _read(self) -> None:
        """Collect what comes until the stream ends."""
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        data = b"x"
        while data:
            try:
                data = self._stream.recv(_CHUNK)
            except libvirt.libvirtError:
                data = b""
            with self._news:
                self._text += decoder.decode(data)
                self._ended = not data
                self._news.notify_all()
