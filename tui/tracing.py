"""A trace made whole: the pure function called, its questions asked, until it has none. For threads that may wait."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.model.text import clean
from tui.topology.trace import trace
from tui.topology.trace_scene import Query, Scene, is_address

if TYPE_CHECKING:
    from tui.model.finding import Trace
    from tui.model.route import FlowAnswer, Question, RouteAnswer
    from tui.model.snapshot import HostSnapshot

_ROUNDS = 30
"""Each namespace on the way brings up at most two rounds of questions."""


class QueryError(Exception):
    """What is to be traced cannot be found; the text says why."""


def traced(snapshot: HostSnapshot, query: Query) -> Trace:
    """Return the trace of `query` with all that the kernel answers; it may take as long as Open vSwitch does."""
    from tui.sources.tracing import ask

    answers: dict[Question, RouteAnswer | FlowAnswer] = {}
    namespaces = snapshot.links.namespaces if snapshot.links is not None else {}
    for _ in range(_ROUNDS):
        made = trace(snapshot, query, answers)
        if not made.questions:
            break
        answers |= ask(made.questions, namespaces)
    return made.trace


def query_of(snapshot: HostSnapshot, source: str, link: str, to: str) -> Query:
    """Return the query for words as the command line has them: DOMAIN, DOMAIN/NIC or a MAC, or LINK[@NETNS]; `to` is an
    address or the name of a guest. Raises QueryError."""
    scene = Scene(snapshot, {})
    target = _target(scene, to)
    if link:
        return Query(link=_link(snapshot, link), to=target)
    return _nic(scene, source, target)


def target_of(snapshot: HostSnapshot, to: str) -> str:
    """Return the address that a destination means: one, or the name of a guest; "" for outside. Raises QueryError."""
    return to if not to or is_address(to) else _target(Scene(snapshot, {}), to)


def _target(scene: Scene, to: str) -> str:
    if not to or is_address(to):
        return to
    known = [nic for nic in scene.guests.nics if to in (nic.guest, nic.name, nic.mac)]
    if not known:
        raise QueryError(f"{clean(to)} is neither an address nor a guest")
    found = next((address for nic in known for address in nic.addresses), None)
    if found is None:
        raise QueryError(f"no address of {known[0].guest} is known")
    return found


def _link(snapshot: HostSnapshot, words: str) -> str:
    links = snapshot.links
    if links is None:
        raise QueryError("the links of this host cannot be seen")
    name, _, netns = words.partition("@")
    spaces = {key for key, one in links.namespaces.items() if netns in (one.name, one.raw_name, key)}
    found = [link for link in links.links.values() if name in (link.raw_name, link.name)]
    if netns:
        found = [link for link in found if link.netns in spaces]
    home = [link for link in found if links.home is not None and link.netns == links.home.key]
    if len(home or found) == 1:
        return (home or found)[0].key
    if not found:
        raise QueryError(f"no link {clean(words)}")
    where = ", ".join(f"{name}@{links.namespaces[link.netns].name}" for link in found)
    raise QueryError(f"several links are called {clean(name)}: {where}")


def _nic(scene: Scene, words: str, to: str) -> Query:
    guest, _, which = words.rpartition("/") if "/" in words else (words, "", "")
    nics = scene.guests.nics
    found = [nic for nic in nics if guest in (nic.guest, nic.key, _pid(nic.key))]
    if not found and not which:
        found = [nic for nic in nics if nic.mac == words.lower()]
    elif which:
        found = [n for n in found if which.lower() in (n.mac, n.target.lower(), f"net{n.index}", str(n.index))]
    if not found:
        raise QueryError(_not_found(scene, words))
    if len({nic.key for nic in found}) > 1:
        raise QueryError(f"{clean(words)} is several guests: {', '.join(nic.name for nic in found)}")
    return Query(guest=found[0].key, nic=found[0].index, to=to)


def _pid(key: str) -> str:
    return key.partition(":")[0]


def _not_found(scene: Scene, words: str) -> str:
    known = {domain.name for domain in scene.snapshot.domains.values()}
    if words in known:
        return f"{words} has no NIC"
    return f"no guest or NIC {clean(words)}"
