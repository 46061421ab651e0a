"""Links that nobody made: a module puts them into every network namespace once it is loaded."""

from __future__ import annotations

from collections.abc import Mapping

DEFAULT_LINKS: Mapping[str, str] = {
    "tunl0": "ipip", "gre0": "gre", "gretap0": "gretap", "erspan0": "erspan", "sit0": "sit", "ip6tnl0": "ip6tnl",
    "ip6gre0": "ip6gre", "ip_vti0": "vti", "ip6_vti0": "vti6",
}  # fmt: skip
"""Their names, and their kinds."""
