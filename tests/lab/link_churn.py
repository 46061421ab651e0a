"""Links, peers and namespaces made, moved, renamed and deleted at random, the same for the same seed."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.lab.own_net import OwnNet

_MOST_NAMESPACES, _MOST_LINKS = 8, 120


@dataclass(slots=True)
class Churn:
    """What it believes to be there: by name the namespace of each link, "" for home. A namespace takes its links with
    it, and a pair its other end, so some commands come too late and are refused, as in life."""

    net: OwnNet
    seed: int
    namespaces: list[str] = field(default_factory=list)
    links: dict[str, str] = field(default_factory=dict)
    done: int = 0
    refused: int = 0
    _number: int = 0

    def run(self, seconds: float) -> None:
        """Go on for so long."""
        chance = random.Random(self.seed)
        steps: tuple[tuple[int, Callable[[random.Random], None]], ...] = (
            (3, self._add_namespace),
            (2, self._delete_namespace),
            (14, self._add_pair),
            (3, self._add_bridge),
            (5, self._add_macvlan),
            (12, self._move),
            (10, self._rename),
            (9, self._delete),
            (8, self._enslave),
            (8, self._toggle),
            (4, self._address),
        )
        weights = [weight for weight, _step in steps]
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            chance.choices(steps, weights)[0][1](chance)

    def _ip(self, *words: str, netns: str = "") -> bool:
        self.done += 1
        try:
            self.net.ip(*words, netns=netns)
        except RuntimeError:
            self.refused += 1
            return False
        return True

    def _fresh(self, letter: str) -> str:
        self._number += 1
        return f"{letter}{self._number}"

    def _somewhere(self, chance: random.Random) -> str:
        return chance.choice(["", *self.namespaces])

    def _link(self, chance: random.Random) -> str | None:
        return chance.choice(list(self.links)) if self.links else None

    def _add_namespace(self, chance: random.Random) -> None:
        if len(self.namespaces) < _MOST_NAMESPACES:
            # Sometimes under a name that was there before.
            name = f"ns{chance.randrange(12)}"
            if name not in self.namespaces and self._ip("netns", "add", name):
                self.namespaces.append(name)

    def _delete_namespace(self, chance: random.Random) -> None:
        if self.namespaces:
            name = self.namespaces.pop(chance.randrange(len(self.namespaces)))
            self._ip("netns", "del", name)
            self.links = {link: where for link, where in self.links.items() if where != name}

    def _add_pair(self, chance: random.Random) -> None:
        """The alias says which two belong together, whatever they are called and wherever they are."""
        if len(self.links) > _MOST_LINKS:
            return self._delete(chance)
        first, second = self._fresh("v"), self._fresh("v")
        here, there = self._somewhere(chance), self._somewhere(chance)
        if not there:
            here, there = there, here
        where = ("netns", there) if there != here else ()
        if not self._ip("link", "add", first, "type", "veth", "peer", "name", second, *where, netns=here):
            return None
        pair = f"pair-{self._number}"
        for name, netns in ((first, here), (second, there)):
            self.links[name] = netns
            self._ip("link", "set", name, "alias", pair, netns=netns)
        return None

    def _add_bridge(self, chance: random.Random) -> None:
        name, where = self._fresh("b"), self._somewhere(chance)
        if self._ip("link", "add", name, "type", "bridge", netns=where):
            self.links[name] = where

    def _add_macvlan(self, chance: random.Random) -> None:
        if (lower := self._link(chance)) is not None:
            name = self._fresh("m")
            if self._ip("link", "add", name, "link", lower, "type", "macvlan", netns=self.links[lower]):
                self.links[name] = self.links[lower]

    def _move(self, chance: random.Random) -> None:
        if (name := self._link(chance)) is not None and self.namespaces:
            where = chance.choice(self.namespaces)
            if self._ip("link", "set", name, "netns", where, netns=self.links[name]):
                self.links[name] = where
            else:
                self._forget(name)

    def _rename(self, chance: random.Random) -> None:
        if (name := self._link(chance)) is not None:
            fresh = self._fresh(name[0])
            if self._ip("link", "set", name, "name", fresh, netns=self.links[name]):
                self.links[fresh] = self.links.pop(name)

    def _delete(self, chance: random.Random) -> None:
        if (name := self._link(chance)) is not None:
            self._ip("link", "del", name, netns=self.links[name])
            self._forget(name)

    def _forget(self, name: str) -> None:
        self.links.pop(name, None)

    def _enslave(self, chance: random.Random) -> None:
        if (name := self._link(chance)) is not None:
            bridges = [link for link, where in self.links.items() if link[0] == "b" and where == self.links[name]]
            if bridges:
                self._ip("link", "set", name, "master", chance.choice(bridges), netns=self.links[name])

    def _toggle(self, chance: random.Random) -> None:
        if (name := self._link(chance)) is not None:
            self._ip("link", "set", name, chance.choice(("up", "down")), netns=self.links[name])

    def _address(self, chance: random.Random) -> None:
        if (name := self._link(chance)) is not None:
            self._ip("addr", "add", f"10.{chance.randrange(250)}.0.1/24", "dev", name, netns=self.links[name])
