"""Which running domains use a pool, asked of libvirt right before it is stopped."""

from __future__ import annotations

import os
from typing import Any
from xml.etree import ElementTree as ET

import libvirt

from tui.model.storage_xml import HOLDS_ITS_PATH

_SOURCES = ("file", "dev", "dir", "name")


def running_users(pool: Any) -> list[str]:
    """Return the names of the active domains that have a volume of the pool as a disk or below one, each once. Raises
    libvirtError (virStoragePoolListAllVolumes, virConnectListAllDomains, virDomainGetXMLDesc)."""
    paths = {volume.path() for volume in pool.listAllVolumes(0)} if pool.isActive() else set()
    root = ET.fromstring(pool.XMLDesc(0))
    folder = (root.findtext("target/path") or "").strip() if root.get("type") in HOLDS_ITS_PATH else ""
    found = []
    for domain in pool.connect().listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE):
        try:
            xml = domain.XMLDesc(0)
        except libvirt.libvirtError as error:
            if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
                continue
            raise
        if _uses(ET.fromstring(xml), pool.name(), paths, folder):
            found.append(domain.name())
    return found


def _uses(domain: ET.Element, pool: str, paths: set[str], folder: str) -> bool:
    for disk in domain.iterfind("devices/disk"):
        for source in disk.iter("source"):
            if source.get("pool") == pool:
                return True
            images = filter(None, (source.get(name) for name in _SOURCES))
            if any(image in paths or _is_in(folder, image) for image in images):
                return True
    return False


def _is_in(folder: str, path: str) -> bool:
    return folder != "" and os.path.normpath(path).startswith(os.path.normpath(folder).rstrip("/") + "/")
