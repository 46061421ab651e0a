"""XML that is read to be written again with little changed."""

from __future__ import annotations

import io
from contextlib import suppress
from xml.etree import ElementTree as ET


def parse_for_edit(xml: str) -> ET.Element:
    """Return the root of XML that will be written again; raises ParseError. Prefixes stay as they are, those of other
    programs' metadata above all; one that ElementTree keeps to itself is replaced, which means the same."""
    for _event, (prefix, uri) in ET.iterparse(io.StringIO(xml), events=["start-ns"]):
        if prefix:
            with suppress(ValueError):
                ET.register_namespace(prefix, uri)
    return ET.fromstring(xml)
