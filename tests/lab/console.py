"""A session on a guest's serial console: text to wait for, and commands with their exit status."""

from __future__ import annotations

import codecs
import os
import re
import secrets
import select
import shlex
import threading
import time
from pathlib import Path
from types import TracebackType

_CHUNK = 65536


class Console:
    """The pseudo-terminal of a guest's console, read by a thread of its own so that the guest never waits to write.

    It is QEMU's own terminal and not a stream through libvirtd, so it works while libvirtd is killed or stopped. One
    session at a time: a second reader (virsh console) would take part of the text.
    """

    def __init__(self, terminal: Path, name: str) -> None:
        """Open the terminal; `name` is for messages."""
        self._name = name
        self._text = ""
        self._ended = False
        self._news = threading.Condition()
        self._terminal = os.open(terminal, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
        self._stop_reading, self._stop = os.pipe()
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
            data = data[os.write(self._terminal, data) :]

    def wait_for(self, text: str, timeout: float = 30) -> str:
        """All text up to and with the awaited one; TimeoutError when it does not come, EOFError when QEMU ends."""
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
        """End the session; the guest's shell stays as it is."""
        os.close(self._stop)
        self._reader.join()
        os.close(self._stop_reading)
        os.close(self._terminal)

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
        """Collect what comes until QEMU closes its side or the session ends."""
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        while not self._ended:
            ready, _, _ = select.select([self._terminal, self._stop_reading], [], [])
            if self._stop_reading in ready:
                return
            data = self._receive()
            with self._news:
                self._text += decoder.decode(data)
                self._ended = not data
                self._news.notify_all()

    def _receive(self) -> bytes:
        """What the terminal holds, empty when QEMU has closed its side (the kernel says EIO then)."""
        try:
            return os.read(self._terminal, _CHUNK)
        except OSError:
            return b""
