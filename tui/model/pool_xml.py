"""The XML of a new pool, as `virsh pool-define-as` makes it, out of the few things that its type needs."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID
from xml.etree import ElementTree as ET


@dataclass(frozen=True, slots=True)
class PoolSource:
    """Where the volumes of a new pool come from; "" for what its type has not."""

    host: str = ""
    path: str = ""
    device: str = ""
    name: str = ""
    adapter: str = ""
    format: str = ""
    initiator: str = ""
    auth: str = ""
    """chap or ceph, as `user` with the libvirt secret of that UUID or usage."""
    user: str = ""
    secret: str = ""

    def words(self) -> list[str]:
        """Return the options of `virsh pool-define-as` that say the same."""
        options = {
            "source-host": self.host,
            "source-path": self.path,
            "source-dev": self.device,
            "source-name": self.name,
            "adapter-name": self.adapter,
            "source-format": self.format,
            "source-initiator": self.initiator,
            "auth-type": self.auth,
            "auth-username": self.user,
            f"secret-{self._secret_by}": self.secret,
        }
        return [word for option, value in options.items() if value for word in (f"--{option}", value)]

    @property
    def _secret_by(self) -> str:
        try:
            UUID(self.secret)
        except ValueError:
            return "usage"
        return "uuid"

    def auth_element(self) -> ET.Element:
        """Return `<auth>`."""
        element = ET.Element("auth", type=self.auth, username=self.user)
        ET.SubElement(element, "secret", {self._secret_by: self.secret})
        return element


def pool_xml(kind: str, name: str, uuid: str, source: PoolSource, target: str) -> str:
    """Return the XML of a pool (https://libvirt.org/formatstorage.html)."""
    root = ET.Element("pool", type=kind)
    ET.SubElement(root, "name").text = name
    ET.SubElement(root, "uuid").text = uuid
    element = ET.SubElement(root, "source")
    for tag, attribute, value in (
        ("host", "name", source.host),
        ("device", "path", source.device),
        ("dir", "path", source.path),
    ):
        if value:
            ET.SubElement(element, tag, {attribute: value})
    if source.initiator:
        ET.SubElement(ET.SubElement(element, "initiator"), "iqn", name=source.initiator)
    if source.adapter:
        ET.SubElement(element, "adapter", type="scsi_host", name=source.adapter)
    if source.name:
        ET.SubElement(element, "name").text = source.name
    if source.format:
        ET.SubElement(element, "format", type=source.format)
    if source.auth:
        element.append(source.auth_element())
    if target:
        ET.SubElement(ET.SubElement(root, "target"), "path").text = target
    return ET.tostring(root, encoding="unicode")
