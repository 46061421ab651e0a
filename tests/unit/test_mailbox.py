"""The mailbox between the reading threads and the screen."""

from __future__ import annotations

import threading

from tui.runtime.mailbox import Mailbox


def test_the_latest_letter_wins() -> None:
    box: Mailbox[int] = Mailbox()
    assert box.take() is None
    box.put(1)
    box.put(2)
    assert box.take() == 2
    assert box.take() is None


def test_it_wakes_once_for_letters_that_were_not_taken() -> None:
    box: Mailbox[int] = Mailbox()
    woken: list[int] = []
    box.on_mail(lambda: woken.append(1))
    for letter in range(100):
        box.put(letter)
    assert len(woken) == 1
    assert box.take() == 99
    box.put(100)
    assert len(woken) == 2


def test_who_comes_late_is_told_at_once() -> None:
    box: Mailbox[int] = Mailbox()
    box.put(1)
    woken: list[int] = []
    box.on_mail(lambda: woken.append(1))
    assert woken == [1]
    box.on_mail(None)
    box.take()
    box.put(2)
    assert woken == [1]


def test_no_letter_is_lost_between_threads() -> None:
    box: Mailbox[int] = Mailbox()
    mail = threading.Event()
    box.on_mail(mail.set)
    last = 20_000

    def write() -> None:
        for letter in range(1, last + 1):
            box.put(letter)

    writer = threading.Thread(target=write)
    writer.start()
    seen: list[int] = []
    while not seen or seen[-1] != last:
        assert mail.wait(5), "a letter lies there and nobody was told"
        mail.clear()
        if (letter := box.take()) is not None:
            seen.append(letter)
    writer.join()
    assert seen == sorted(seen)
