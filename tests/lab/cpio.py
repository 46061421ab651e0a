"""An initramfs archive in the kernel's `newc` format (Documentation/driver-api/early-userspace/buffer-format.rst)."""

from __future__ import annotations

import stat


class Archive:
    """Collects directories, files, links and nodes, all root's and without times: equal input gives equal bytes."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._known: set[str] = set()

    def directory(self, path: str) -> None:
        """Add a directory and those above it, each once."""
        if not path or path in self._known:
            return
        self.directory(path.rpartition("/")[0])
        self._known.add(path)
        self._entry(path, stat.S_IFDIR | 0o755)

    def file(self, path: str, content: bytes, *, mode: int = 0o755) -> None:
        """Add a regular file and the directories above it."""
        self.directory(path.rpartition("/")[0])
        self._entry(path, stat.S_IFREG | mode, content)

    def link(self, path: str, target: str) -> None:
        """Add a symbolic link and the directories above it."""
        self.directory(path.rpartition("/")[0])
        self._entry(path, stat.S_IFLNK | 0o777, target.encode())

    def character_device(self, path: str, major: int, minor: int) -> None:
        """Add a character device node and the directories above it."""
        self.directory(path.rpartition("/")[0])
        self._entry(path, stat.S_IFCHR | 0o600, device=(major, minor))

    def content(self) -> bytes:
        """The archive, ended by its trailer; archives may be joined end to end."""
        return b"".join([*self._parts, _record("TRAILER!!!", 0, 0, b"", (0, 0))])

    def _entry(self, path: str, mode: int, content: bytes = b"", device: tuple[int, int] = (0, 0)) -> None:
        self._parts.append(_record(path, len(self._parts) + 1, mode, content, device))


def _record(path: str, inode: int, mode: int, content: bytes, device: tuple[int, int]) -> bytes:
    """One entry: the header of 13 hexadecimal fields with the name, and the content, each padded to four bytes."""
    name = path.encode() + b"\0"
    fields = (inode, mode, 0, 0, 1, 0, len(content), 0, 0, *device, len(name), 0)
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + name
    return head + b"\0" * (-len(head) % 4) + content + b"\0" * (-len(content) % 4)
