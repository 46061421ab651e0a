"""Where a disk's bytes are: the `<source>` of its XML as one word, and the sources on the network that are attached
here, as URLs that qemu-img takes too (https://github.com/NetworkBlockDevice/nbd/blob/master/doc/uri.md)."""

from __future__ import annotations

from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.etree import ElementTree as ET

NBD_PORT = 10809
_ATTRIBUTES = ("file", "dev", "dir", "name", "volume")


def location_of(source: ET.Element | None) -> str:
    """Return the path, volume (`pool/volume`) or URL of a `<source>`; "" where it has none."""
    if source is None:
        return ""
    pool, protocol = source.get("pool"), source.get("protocol")
    name = next((value for key in _ATTRIBUTES if (value := source.get(key))), "")
    if pool is not None:
        return f"{pool}/{name}"
    return name if protocol is None else _url(protocol, name, source.find("host"))


def _url(protocol: str, name: str, host: ET.Element | None) -> str:
    given = {} if host is None else host.attrib
    if given.get("transport") == "unix":
        return f"{protocol}+unix:///{quote(name)}?socket={quote(given.get('socket', ''))}"
    port = given.get("port", "")
    own = port in ("", str(NBD_PORT)) if protocol == "nbd" else not port
    name_of_host = given.get("name", "")
    where = f"[{name_of_host}]" if ":" in name_of_host else name_of_host
    return f"{protocol}://{where}{'' if own else f':{port}'}/{quote(name)}"


def is_network(word: str) -> bool:
    """Whether a word is meant for a source on the network."""
    return word.startswith(("nbd://", "nbd+unix://"))


def network_source(url: str) -> ET.Element:
    """Return the `<source>` of an NBD export: nbd://HOST[:PORT]/EXPORT or nbd+unix:///EXPORT?socket=PATH. Raises
    ValueError, which says what is wrong with it."""
    parts = urlsplit(url)
    source = ET.Element("source", protocol="nbd", name=unquote(parts.path.removeprefix("/")))
    if parts.scheme == "nbd+unix":
        socket = parse_qs(parts.query).get("socket", [""])[0]
        if not socket.startswith("/"):
            raise ValueError("needs the path of a socket, as nbd+unix:///EXPORT?socket=/run/x.sock")
        ET.SubElement(source, "host", transport="unix", socket=socket)
    elif not parts.hostname or parts.query or parts.username:
        raise ValueError("must be nbd://HOST[:PORT]/EXPORT")
    else:
        ET.SubElement(source, "host", name=parts.hostname, port=str(parts.port or NBD_PORT))
    if not source.get("name"):
        del source.attrib["name"]
    return source
