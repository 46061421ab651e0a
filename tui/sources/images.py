"""What qemu-img tells of an image of this machine and of those below it (`qemu-img info`).

It takes as long as the storage does (a dead NFS server: for ever): never on a thread that others wait for."""

from __future__ import annotations

import os
import subprocess
from contextlib import suppress

from tui.model.image_info import ImageInfo, parse_chain
from tui.model.text import clean

_LIMIT_S = 20.0
_LEFT_S = 1.0


class ImageError(Exception):
    """An image that cannot be read, in words for the user."""


def read_chain(path: str, form: str) -> tuple[ImageInfo, ...]:
    """Return an image, whose format is given and never guessed, and those below it, without taking their locks. Raises
    ImageError, also when there is no answer within 20 s."""
    words = ["qemu-img", "info", "--output=json", "-U", "--backing-chain", "-f", form, path]
    try:
        process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=_environment()
        )
    except OSError as error:
        raise ImageError(f"qemu-img: {error.strerror}") from error
    try:
        output, errors = process.communicate(timeout=_LIMIT_S)
    except subprocess.TimeoutExpired as error:
        process.kill()
        # One that the kernel holds fast is left to itself.
        with suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=_LEFT_S)
        raise ImageError(f"no answer within {_LIMIT_S:.0f} s") from error
    if process.returncode:
        raise ImageError(clean(errors.decode(errors="replace").strip().removeprefix("qemu-img: ")) or "qemu-img failed")
    try:
        return parse_chain(output)
    except ValueError as error:
        raise ImageError(f"qemu-img tells what cannot be read: {error}") from error


def _environment() -> dict[str, str]:
    return os.environ | {"LC_ALL": "C"}
