"""The containers that processes are in: known by their cgroup, named as Docker or Podman name them."""

from __future__ import annotations

import json
import os
import re
from functools import lru_cache
from pathlib import Path

from tui.sources.qemu_proc import read_file

# docker-ID.scope, /docker/ID, libpod-ID.scope, crio-ID.scope, cri-containerd-ID.scope, /kubepods/.../ID
_BY_ID = re.compile(r"[-/:]([0-9a-f]{64})(?:\.scope)?(?:/|$)")
_BY_NAME = (
    re.compile(r"/lxc(?:\.payload)?[./]([^/]+)"),
    re.compile(r"/systemd-nspawn@([^/]+)\.service"),
    re.compile(r"/machine-(?!qemu)([^/]+)\.scope"),
)
_ESCAPED = re.compile(r"\\x([0-9a-fA-F]{2})")
_SHORT = 12
_DOCKER = Path("/var/lib/docker/containers")
_PODMAN = Path("/var/lib/containers/storage/overlay-containers/containers.json")


def container_of(pid: int) -> str:
    """Return the name of the container that a process is in, raw, its short id where it has no name; "" for none.
    Source: /proc/PID/cgroup."""
    return container_in(os.fsdecode(read_file(f"/proc/{pid}/cgroup") or b""))


def container_in(cgroups: str) -> str:
    """Return the same from the text of that file."""
    return next((name for line in cgroups.splitlines() if (name := _named(line.split(":", 2)[-1]))), "")


def _named(cgroup: str) -> str:
    if found := _BY_ID.search(cgroup):
        return _name_of(found[1]) or found[1][:_SHORT]
    for pattern in _BY_NAME:
        if found := pattern.search(cgroup):
            return _ESCAPED.sub(lambda code: chr(int(code[1], 16)), found[1])
    return ""


@lru_cache(maxsize=1024)
def _name_of(container: str) -> str:
    """A container that is renamed keeps its old name here."""
    return engine_name(container)


def engine_name(container: str) -> str:
    """Return the name of a container by its id, as the files of Docker or Podman tell it; "" where they do not."""
    try:
        name: str = json.loads((_DOCKER / container / "config.v2.json").read_text())["Name"]
        return name.lstrip("/")
    except (OSError, ValueError, KeyError, TypeError):
        pass
    try:
        known = json.loads(_PODMAN.read_text())
        return next((str(one["names"][0]) for one in known if one["id"] == container), "")
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return ""
