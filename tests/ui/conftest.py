"""Hosts for the screen: the demo host and a test's own, in libvirt's test driver; state in a private folder."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import libvirt
import pytest

from tests.ui.words import Deck, open_deck
from tui.demo import prepare, write_demo_host
from tui.demo.figures import demo_usage

OpenDeck = Callable[..., AbstractAsyncContextManager[Deck]]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of the test's own: configuration, journal and kept XML stay in its folder."""
    for name in ("CONFIG", "STATE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name.lower()))
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLORTERM", "truecolor")
    monkeypatch.delenv("NO_COLOR", raising=False)
    libvirt.registerErrorHandler(lambda _context, _error: None, None)
    return tmp_path


@pytest.fixture(scope="session")
def demo_uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URI of the demo host; every connection to it is a host of its own."""
    return write_demo_host(tmp_path_factory.mktemp("demo"))


@pytest.fixture
def demo(demo_uri: str) -> OpenDeck:
    """Opens the screen on the demo host, prepared as the program prepares it."""

    def opened(**options: Any) -> AbstractAsyncContextManager[Deck]:
        ready = None if options.get("read_only") else prepare
        return open_deck(demo_uri, **{"figures": demo_usage, "prepare": ready, **options})

    return opened
