"""The board on which the reading threads bring their parts together."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from tui.model.domain import Domain, DomainState
from tui.model.host import ConnectionState
from tui.model.snapshot import HostSnapshot
from tui.runtime.board import Board
from tui.runtime.desk import Focus
from tui.runtime.links import LinkWatcher


@pytest.fixture
def published() -> list[HostSnapshot]:
    return []


@pytest.fixture
def board(published: list[HostSnapshot]) -> Board:
    return Board("test:///default", read_only=False, publish=published.append)


def domain(key: str) -> Domain:
    return Domain(key, key, key, None, DomainState.SHUTOFF, "")


def test_it_begins_connecting_with_nothing_read(board: Board) -> None:
    seen = board.snapshot
    assert seen.connection.state is ConnectionState.CONNECTING
    assert seen.domains_read_ns is None
    assert "domains" in seen.unread


def test_only_news_are_published(board: Board, published: list[HostSnapshot]) -> None:
    board.update(limits=("a",))
    board.update(limits=("a",))
    board.update(monitors={})
    board.update(events=())
    assert [snapshot.limits for snapshot in published] == [("a",)]
    assert published[0].sequence == 1


def test_large_mappings_are_news_when_they_are_other_objects(board: Board, published: list[HostSnapshot]) -> None:
    many = {str(number): domain(str(number)) for number in range(100)}
    board.update(domains=many)
    board.update(domains=many)
    assert len(published) == 1
    board.update(domains=dict(many))
    assert len(published) == 2


def test_a_source_is_read_once_its_first_pass_ended(board: Board, published: list[HostSnapshot]) -> None:
    board.update(done="domains", domains={"a": domain("a")})
    assert "domains" not in board.snapshot.unread
    board.update(done="domains")
    assert len(published) == 1
    board.update(done="usage")
    assert len(published) == 2


def test_the_link_says_since_when(board: Board) -> None:
    board.set_link(ConnectionState.LIVE)
    since = board.snapshot.connection.since_ns
    board.set_link(ConnectionState.LIVE)
    assert board.snapshot.connection.since_ns == since
    board.set_link(ConnectionState.LOST, "gone", "start it")
    lost = board.snapshot.connection
    assert (lost.problem, lost.advice, lost.attempts) == ("gone", "start it", 1)
    assert lost.since_ns >= since
    board.set_link(ConnectionState.LOST, "refused", "")
    again = board.snapshot.connection
    assert (again.since_ns, again.attempts, again.problem) == (lost.since_ns, 2, "refused")
    board.set_link(ConnectionState.LIVE)
    assert (board.snapshot.connection.attempts, board.snapshot.connection.problem) == (0, "")


def test_waiting_ends_when_it_is_so_or_too_late(board: Board) -> None:
    assert not board.wait(lambda snapshot: snapshot.sequence > 0, 0.01)
    timer = threading.Timer(0.05, lambda: board.update(limits=("x",)))
    timer.start()
    begun = time.monotonic()
    assert board.wait(lambda snapshot: snapshot.sequence > 0, 5)
    assert time.monotonic() - begun < 2
    timer.join()


def test_snapshots_are_published_in_their_order_from_many_threads(board: Board, published: list[HostSnapshot]) -> None:
    def work(name: str) -> None:
        for number in range(200):
            board.update(limits=(name, str(number)))

    threads = [threading.Thread(target=work, args=(str(name),)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [snapshot.sequence for snapshot in published] == list(range(1, 801))
    assert board.snapshot is published[-1]


def test_limits_of_several_sources_stand_side_by_side(board: Board, published: list[HostSnapshot]) -> None:
    board.note_limit("processes", "processes: the host is not this machine")
    board.note_limit("links", "links: the host is not this machine")
    board.note_limit("links", "links: the host is not this machine")
    assert board.snapshot.limits == (
        "processes: the host is not this machine",
        "links: the host is not this machine",
    )
    assert len(published) == 2


def test_links_of_another_machine_are_no_source_to_wait_for(board: Board) -> None:
    watcher = LinkWatcher(board, local=False, interval_s=1.0, focus=Focus)
    watcher.start()
    watcher.nudge()
    watcher.stop()
    assert "links" not in board.snapshot.unread
    assert board.snapshot.links is None
    assert board.snapshot.limits == ("links: the host is not this machine",)


class _Slow(Board):
    """Has another thread note something else while it is about to publish the first problem."""

    other: threading.Thread | None = None

    def update(self, *, done: str | None = None, **parts: Any) -> None:
        if "problems" in parts and self.other is None:
            self.other = threading.Thread(target=self.note_problem, args=("b", "second"), daemon=True)
            self.other.start()
            self.other.join(0.3)
        super().update(done=done, **parts)


def test_problems_that_are_noted_at_once_are_both_told() -> None:
    board = _Slow("test:///", read_only=True, publish=lambda _snapshot: None)
    board.note_problem("a", "first")
    assert board.other is not None
    board.other.join(10)
    assert board.snapshot.problems == ("first", "second")
