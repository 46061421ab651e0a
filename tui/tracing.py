"""A trace made whole: the pure function called, its questions asked, until it has none. For threads that may wait."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tui.model.route import Answer, CountAnswer, CountQuestion, ProbeQuestion, Question
from tui.model.text import clean
from tui.topology.trace import trace
from tui.topology.trace_scene import Ground, Query, Scene, is_address

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tui.model.finding import Trace
    from tui.model.snapshot import HostSnapshot
    from tui.topology.guests import GuestNic

_ROUNDS = 30
"""Each namespace on the way brings up at most two rounds of questions."""


class QueryError(Exception):
    """What is to be traced cannot be found; the text says why."""


Probes = dict[Question, Answer]
"""What was asked on the wire, and the answers."""


def traced(
    snapshot: HostSnapshot, query: Query, *, made_up: bool = False, probes: Probes | None = None, probing: bool = False
) -> Trace:
    """Return the trace of `query` with all that the kernel answers; it may take as long as Open vSwitch does. Of a host
    that is `made_up` there is nobody to ask. `probes` are answers from the wire that are known already; only when it is
    `probing` are others sent for, and added there."""
    from tui.sources.tracing import ask, count

    ground, links = Ground(snapshot), snapshot.links
    known: Probes = probes if probes is not None else {}
    query = replace(query, probe=probing or bool(known))
    answers: dict[Question, Answer] = dict(known)
    before: dict[CountQuestion, CountAnswer] = {}
    for _ in range(_ROUNDS):
        made = trace(ground, query, answers)
        probes_left = [q for q in made.questions if probing and isinstance(q, ProbeQuestion)]
        open_ones = [q for q in made.questions if not isinstance(q, (ProbeQuestion, CountQuestion))] or probes_left
        if not open_ones or links is None or made_up:
            break
        if open_ones is probes_left:
            # The whole way is known now: what passes its links from here on is counted.
            wanted = [q for q in made.questions if isinstance(q, CountQuestion) and q not in before]
            before.update(count(wanted, links))
        answers |= ask(open_ones, links)
    if before and links is not None:
        answers.update(_counted(before, count(before, links)))
        made = trace(ground, query, answers)
    known |= {q: answer for q, answer in answers.items() if isinstance(q, (ProbeQuestion, CountQuestion))}
    return made.trace


def _counted(
    before: Mapping[CountQuestion, CountAnswer], after: Mapping[CountQuestion, CountAnswer]
) -> dict[Question, Answer]:
    return {
        question: CountAnswer(now.received - before[question].received, now.sent - before[question].sent)
        for question, now in after.items()
    }


def captured(snapshot: HostSnapshot, key: str, stopped: Callable[[], bool] = lambda: False) -> tuple[str, ...] | str:
    """Return the next packets that pass the link of a key, a line each, or why they cannot be had; waits for 5 s."""
    from tui.sources.capture import capture

    links = snapshot.links
    link = links.links.get(key) if links is not None else None
    netns = links.namespaces.get(link.netns) if links is not None and link is not None else None
    if link is None or netns is None:
        return "the link is gone"
    try:
        return capture(netns, link, stopped=stopped)
    except OSError as error:
        return f"cannot listen on {link.name}: {clean(error.strerror or str(error))}"


def query_of(snapshot: HostSnapshot, source: str, link: str, to: str) -> Query:
    """Return the query for words as the command line has them: DOMAIN, DOMAIN/NIC or a MAC, or LINK[@NETNS]; `to` is an
    address or the name of a guest. Raises QueryError."""
    scene = Scene(snapshot, {})
    target = _target(scene, to)
    if link:
        return Query(link=link_named(snapshot, link), to=target)
    return _nic(scene, source, target)


def target_of(snapshot: HostSnapshot, to: str) -> str:
    """Return the address that a destination means: one, or the name of a guest; "" for outside. Raises QueryError."""
    return to if not to or is_address(to) else _target(Scene(snapshot, {}), to)


def _target(scene: Scene, to: str) -> str:
    if not to or is_address(to):
        return to
    known = _domains_first([nic for nic in scene.guests.nics if to in (nic.guest, nic.name, nic.mac)])
    if not known:
        raise QueryError(f"{clean(to)} is neither an address nor a guest")
    found = next((address for nic in known for address in nic.addresses), None)
    if found is None:
        raise QueryError(f"no address of {known[0].guest} is known")
    return found


def link_named(snapshot: HostSnapshot, words: str) -> str:
    """Return the key of a link by its name, with @NETNS where several have it. Raises QueryError."""
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
    found = [nic for nic in nics if guest in _names(nic)]
    found = _domains_first(found)
    if not found and not which:
        found = [nic for nic in nics if nic.mac == words.lower()]
    elif which:
        found = [n for n in found if which.lower() in (n.mac, n.target.lower(), f"net{n.index}", str(n.index))]
    if not found:
        raise QueryError(_not_found(scene, words))
    if len({nic.key for nic in found}) > 1:
        raise QueryError(f"{clean(words)} is several guests: {', '.join(nic.name for nic in found)}")
    return Query(guest=found[0].key, nic=found[0].index, to=to)


def _domains_first(found: list[GuestNic]) -> list[GuestNic]:
    """The domains among them, if any is: somebody else's QEMU may be called the same."""
    return [nic for nic in found if nic.domain is not None] or found


def _names(nic: GuestNic) -> set[str]:
    """What its guest may be called: by name, raw too, UUID or id; a process by its pid."""
    domain = nic.domain
    more = {domain.raw_name, str(domain.id)} if domain is not None else {nic.key.partition(":")[0]}
    return {nic.guest, nic.key, *more}


def _not_found(scene: Scene, words: str) -> str:
    known = {domain.name for domain in scene.snapshot.domains.values()}
    if words in known:
        return f"{words} has no NIC"
    return f"no guest or NIC {clean(words)}"
