"""The rows of a grid: their order by sort, filter and the pane, brought up to date at the cost of what changed."""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, field
from itertools import compress
from operator import is_not
from typing import Any, Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Frame:
    """Which rows are shown, in which order, at one instant; its lists are never changed afterwards."""

    keys: list[str] = field(default_factory=list)
    """The keys of all rows in the pane's order."""
    index: dict[str, int] = field(default_factory=dict)
    """Where in `keys` each key is."""
    shown: list[int] = field(default_factory=list)
    """Indices into `keys` of the rows that are shown, in the order they are shown."""

    def key_at(self, position: int) -> str:
        """Return the key of the row shown at `position`; raises IndexError."""
        return self.keys[self.shown[position]]

    def shown_set(self) -> Set[str]:
        """Return the keys of the shown rows, in no order."""
        return self.index.keys() if len(self.shown) == len(self.keys) else set(self.shown_keys())

    def shown_keys(self) -> list[str]:
        """Return the keys of the shown rows in their order."""
        keys = self.keys
        return [keys[index] for index in self.shown]

    def position(self, key: str | None) -> int | None:
        """Return where the row of `key` is shown, or None when it is not."""
        index = self.index.get(key) if key is not None else None
        if index is None:
            return None
        try:
            return self.shown.index(index)
        except ValueError:
            return None


class Rows(Generic[T]):
    """The items of a grid by key, sorted by one value and filtered by one test.

    Sort values and test results are kept per item and asked for again only for items that are other objects."""

    def __init__(self, key: Callable[[T], str]) -> None:
        self._key = key
        self.items: list[T] = []
        self.frame = Frame()
        self._sort: Callable[[T], Any] | None = None
        self._reverse = False
        self._test: Callable[[T], bool] | None = None
        self._values: list[Any] = []
        self._passed: list[bool] = []
        self._known: list[int] = []
        self._unknown: list[int] = []

    def set_items(self, items: Sequence[T]) -> None:
        """Take the items in the pane's order; of several with one key the last counts."""
        old, keys, key = self.items, self.frame.keys, self._key
        if len(items) == len(old):
            changed = list(compress(range(len(old)), map(is_not, items, old)))
            if all(key(items[i]) == keys[i] for i in changed):
                self._replace(items, changed)
                return
        self._rebuild(items)

    def set_sort(self, sort: Callable[[T], Any] | None, reverse: bool) -> None:
        """Sort by the value that `sort` gives for an item (None last, ties in the pane's order), or not at all."""
        if sort is not self._sort:
            self._sort = sort
            self._values = [sort(item) for item in self.items] if sort else []
        self._reverse = reverse
        self._sort_all()
        self._show()

    def set_test(self, test: Callable[[T], bool] | None) -> None:
        """Show only the items that pass `test`, or all."""
        self._test = test
        self._passed = [test(item) for item in self.items] if test else []
        self._show()

    def ordered(self) -> list[int]:
        """Return the indices of all rows in sorted order, those that the filter hides included."""
        return self._known + self._unknown if self._sort else list(range(len(self.items)))

    def _replace(self, items: Sequence[T], changed: list[int]) -> None:
        """Take items of which those at `changed` are other objects of the same keys."""
        if not changed:
            return
        self.items = list(items)
        moved = self._revalue(changed) if self._sort else []
        flipped = self._retest(changed) if self._test else False
        if moved:
            self._resort(moved)
        if moved or flipped:
            self._show()

    def _revalue(self, changed: list[int]) -> list[int]:
        sort, values, moved = self._sort, self._values, []
        assert sort is not None
        for i in changed:
            value = sort(self.items[i])
            if value != values[i]:
                values[i] = value
                moved.append(i)
        return moved

    def _retest(self, changed: list[int]) -> bool:
        test, passed, flipped = self._test, self._passed, False
        assert test is not None
        for i in changed:
            result = test(self.items[i])
            flipped = flipped or result != passed[i]
            passed[i] = result
        return flipped

    def _rebuild(self, items: Sequence[T]) -> None:
        """Take items of which some came, vanished or moved; values of the objects that stayed are kept."""
        keys = [self._key(item) for item in items]
        index = {key: i for i, key in enumerate(keys)}
        if len(index) != len(keys):
            items = [items[i] for i in sorted(index.values())]
            keys = [self._key(item) for item in items]
            index = {key: i for i, key in enumerate(keys)}
        kept = self._kept(keys, items) if self._sort or self._test else []
        if self._sort:
            self._values = _carry(kept, self._values, items, self._sort)
        if self._test:
            self._passed = _carry(kept, self._passed, items, self._test)
        self.items = list(items)
        self.frame = Frame(keys, index, [])
        self._sort_all()
        self._show()

    def _kept(self, keys: list[str], items: Sequence[T]) -> list[int | None]:
        """Return where each item was before, None where it was not there or was another object."""
        was, old = self.frame.index.get, self.items
        return [
            j if (j := was(key)) is not None and old[j] is item else None for key, item in zip(keys, items, strict=True)
        ]

    def _sort_all(self) -> None:
        if self._sort is None:
            self._known = self._unknown = []
            return
        values = self._values
        self._unknown = [i for i, value in enumerate(values) if value is None]
        self._known = [i for i, value in enumerate(values) if value is not None]
        self._known.sort(key=values.__getitem__, reverse=self._reverse)

    def _resort(self, moved: list[int]) -> None:
        """Put the rows whose value changed where they belong; the others are in order among themselves."""
        if len(moved) * 8 > len(self.items):
            self._sort_all()
            return
        gone = set(moved)
        self._known = [i for i in self._known if i not in gone]
        self._unknown = [i for i in self._unknown if i not in gone]
        for i in moved:
            if self._values[i] is None:
                insort(self._unknown, i)
            else:
                self._known.insert(self._place(i), i)

    def _place(self, row: int) -> int:
        """Return where in the sorted rows `row` belongs, by bisection."""
        known = self._known
        low, high = 0, len(known)
        while low < high:
            middle = (low + high) // 2
            if self._comes_before(known[middle], row):
                low = middle + 1
            else:
                high = middle
        return low

    def _comes_before(self, one: int, other: int) -> bool:
        a, b = self._values[one], self._values[other]
        return one < other if a == b else bool(a < b) is not self._reverse

    def _show(self) -> None:
        order = self.ordered()
        if self._test:
            passed = self._passed
            order = [i for i in order if passed[i]]
        self.frame = Frame(self.frame.keys, self.frame.index, order)


R = TypeVar("R")


def _carry(kept: list[int | None], old: list[R], items: Sequence[T], make: Callable[[T], R]) -> list[R]:
    """Return a value per item: the old one where the item stayed the same object, else a new one."""
    return [old[j] if j is not None else make(item) for j, item in zip(kept, items, strict=True)]
