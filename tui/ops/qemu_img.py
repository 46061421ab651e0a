"""qemu-img on images of this machine: its arguments as a list, how far it is, ended when nobody wants it any more."""

from __future__ import annotations

import os
import re
import select
import stat
import subprocess
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, Any

from tui.model.image_info import ImageInfo, parse_chain
from tui.model.text import clean
from tui.ops.base import CancelledError, OpContext, OpError
from tui.ops.errors import doing
from tui.ops.volume_guard import UNCHANGED, is_local

PROGRAM = "qemu-img"
ELSEWHERE = "qemu-img runs on the host itself, which is not this machine"
_LOOK_S = 0.1
_END_S = 5.0
_MOST_OUTPUT = 32 * 1024 * 1024
_PERCENT = re.compile(rb"\((\d+(?:\.\d+)?)/100%\)")


@dataclass(frozen=True, slots=True)
class Ended:
    """How qemu-img ended: its exit code (negative: the signal that killed it) and what it wrote."""

    code: int
    output: bytes
    errors: str

    def why(self) -> str:
        """Return in words why it failed."""
        said = " ".join(line.removeprefix(f"{PROGRAM}: ") for line in self.errors.splitlines() if line.strip())
        if self.code < 0:
            return f"{PROGRAM} was killed by signal {-self.code}" + (f": {said}" if said else "")
        return said or f"{PROGRAM} ended with exit code {self.code}"


def image_of(volume: Any, what: str) -> str:
    """Return the path of a volume that is a file of this machine; raises OpError."""
    with doing(what, volume.name()):
        name, path, local = clean(volume.name()), volume.path(), is_local(volume.connect())
    if not local:
        raise OpError(what, name, ELSEWHERE, advice=UNCHANGED)
    try:
        regular = stat.S_ISREG(os.stat(path).st_mode)
    except OSError as error:
        raise OpError(what, name, f"{clean(path)}: {error.strerror}", advice=UNCHANGED) from error
    if not regular:
        raise OpError(what, name, f"{clean(path)} is no file", advice=UNCHANGED)
    return str(path)


def look(context: OpContext, path: str, form: str, what: str, name: str, *, chain: bool = False) -> list[ImageInfo]:
    """Return what qemu-img tells of an image, and of those below it when asked, without taking their locks; raises
    OpError."""
    words = ["info", "--output=json", "-U", *(["--backing-chain"] if chain else []), "-f", form, path]
    try:
        ended = run(context, words, what, name)
    except CancelledError as error:
        error.advice = UNCHANGED
        raise
    if ended.code:
        raise OpError(what, name, clean(ended.why()), advice=UNCHANGED)
    try:
        return list(parse_chain(ended.output))
    except ValueError as error:
        raise OpError(what, name, f"qemu-img tells what cannot be read: {error}", advice=UNCHANGED) from error


def run(
    context: OpContext, words: list[str], what: str, name: str, total: int | None = None, *, stoppable: bool = True
) -> Ended:
    """Run qemu-img to its end and return how it ended. With `total` (bytes) what it says of how far it is (-p) is
    reported. When the user cancels what is stoppable it is ended, and CancelledError raised; OpError when it cannot be
    started."""
    with tempfile.TemporaryFile() as errors:
        # In a session of its own: Ctrl+C on the terminal is for virtdeck, which ends it in order.
        try:
            process = subprocess.Popen(
                [PROGRAM, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors,
                start_new_session=True, env=os.environ | {"LC_ALL": "C"},
            )  # fmt: skip
        except OSError as error:
            advice = "Install qemu-utils, or what else has qemu-img." if isinstance(error, FileNotFoundError) else ""
            raise OpError(what, name, f"{PROGRAM}: {error.strerror}", advice=f"{advice} {UNCHANGED}".strip()) from error
        try:
            output = _follow(process, context, total, stoppable)
            if stoppable and context.cancelled and process.poll() is None:
                raise CancelledError(what, name, "cancelled")
            code = process.wait()
        finally:
            _end(process)
        errors.seek(0)
        return Ended(code, output, errors.read(4096).decode(errors="replace"))


def _follow(process: subprocess.Popen[bytes], context: OpContext, total: int | None, stoppable: bool) -> bytes:
    """Read what it writes until it is done, or nobody wants it any more."""
    pipe: IO[bytes] | None = process.stdout
    assert pipe is not None
    found = bytearray()
    if total is not None:
        context.progress(0, total)
    while not (stoppable and context.cancelled):
        ready, _, _ = select.select([pipe], [], [], _LOOK_S)
        piece = os.read(pipe.fileno(), 65536) if ready else None
        if piece == b"":
            return bytes(found)
        found += piece or b""
        del found[_MOST_OUTPUT:]
        if total is not None and (percents := _PERCENT.findall(found)):
            context.progress(int(total * float(percents[-1]) / 100), total)
            found.clear()
    return bytes(found)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End it, if it runs yet; one that the kernel holds fast (a dead server) is left to itself."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            with suppress(subprocess.TimeoutExpired):
                process.wait(_END_S)
    if process.stdout is not None:
        process.stdout.close()
