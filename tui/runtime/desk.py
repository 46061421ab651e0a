"""What other threads ask of the poller, and what it tells of itself: the only state they share."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

from tui.sources.events import DomainEvents


@dataclass(frozen=True, slots=True)
class Focus:
    """What the user looks at: domains whose rows are visible, the one that is open in the detail, and whether the
    host's own CPUs and memory are."""

    visible: tuple[str, ...] = ()
    detail: str | None = None
    host: bool = False
    storage: tuple[str, ...] | None = None
    """The pools and volumes whose rows are visible, by key; None while nobody looks at storage."""
    networks: bool = False
    """Whether libvirt's networks are looked at."""
    links: bool = False
    """Whether the network is looked at: links, firewalls, Open vSwitch, dnsmasq."""
    image: str | None = None
    """The volume whose image is looked at, by its key."""
    link: str | None = None
    """The key of the link that is open in the detail."""


class Desk:
    """Requests to one poller; every method may be called from any thread and none waits, except `rest`."""

    def __init__(self) -> None:
        self._wake = threading.Event()
        self._lock = threading.Lock()
        self._asked: set[str] = set()
        self._reread = False
        self._busy_since_s: float | None = None
        self.events = DomainEvents(self._wake.set)
        self.stopped = False
        self.quick = True
        """Only the list and the states are read until the first picture is on the screen: parsing thousands of XML
        documents meanwhile would take the interpreter from it."""
        self.read_ns: int | None = None
        """Wall clock of the end of the last round of calls: until then all that was read was right."""
        self.broken = ""
        """Why libvirt closed the connection; "" while it stands."""
        self.focus = Focus()

    def stop(self) -> None:
        """Ask the poller to leave after the call it is in."""
        self.stopped = True
        self._wake.set()

    def read_all(self) -> None:
        """From now on read everything."""
        self.quick = False
        self._wake.set()

    def look_at(self, focus: Focus) -> None:
        """Say what the user looks at."""
        self.focus = focus
        self._wake.set()

    def ask(self, keys: set[str]) -> None:
        """Have the named domains read again at once."""
        with self._lock:
            self._asked |= keys
        self._wake.set()

    def reread(self) -> None:
        """Have everything read again at once."""
        self._reread = True
        self._wake.set()

    def take_reread(self) -> bool:
        """Return whether everything was asked for since the last call."""
        asked, self._reread = self._reread, False
        return asked

    def take_asked(self) -> set[str]:
        """Return what was asked for since the last call."""
        with self._lock:
            asked, self._asked = self._asked, set()
        return asked

    def break_off(self, why: str) -> None:
        """Note that libvirt closed the connection."""
        self.broken = why
        self._wake.set()

    def rest(self, seconds: float) -> None:
        """Sleep on the poller's thread until something is asked or `seconds` have passed."""
        self._busy_since_s = None
        self._wake.wait(seconds)
        self._wake.clear()

    def work(self) -> None:
        """Note that a round of calls begins."""
        self._busy_since_s = time.monotonic()

    def busy_for_s(self) -> float:
        """Return how long the current round of calls has been under way; 0 when none is."""
        since = self._busy_since_s
        return 0.0 if since is None else time.monotonic() - since
