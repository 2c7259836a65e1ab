"""The public face of what the catalogue says: takes items in, chooses kinds, owns the arrays, copies them."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.arrays import NONE, Floats, Rows, Times
from models.columns import KINDS
from models.content.attributes import AttributeTable
from models.content.description import Description, attributes_of
from models.content.growth import clear_kind, copied, from_copy, with_rows, with_texts, with_values
from models.content.kinds import Kind, choose_kinds, joined
from models.content.layout import ContentTables, Shelves, empty_content
from models.content.shelving import (
    list_item,
    note_all_that_occurred,
    note_occurred,
    put,
    put_all,
    unlist,
)
from models.content.speakers import Speakers
from models.content.values import count_content
from models.counts.layout import NOW, Tables
from models.history import History

_FIRST_CHOICE = 8  # items listed before kinds are chosen
_LATER, _SOON = 8, 2  # they are chosen again when so many times as many are listed; where there are none yet
_TEXT = 0  # the only kind of the shelves of texts
_KINDLESS = 0  # the only kind, and the only value, of the shelf of those without


class Content:
    """What the catalogue says of every row: shelves of items by value, counters of values, texts.

    Memory: about 260 bytes an item, 400 a value of a kind and 500 a text, and the values' neighbours.
    """

    def __init__(self, kinds: int = KINDS) -> None:
        """`kinds` 0: nothing will ever be listed."""
        self.tables: ContentTables = empty_content(kinds)
        self.kinds: list[Kind] = []
        self._numbers: list[dict[tuple[int, ...], int]] = []  # of each kind: codes -> number of the value
        self._attributes = AttributeTable()
        self._listed: set[int] = set()
        self._next_choice = _FIRST_CHOICE
        self._speakers = Speakers()

    @property
    def listed(self) -> list[int]:
        """Return the rows that are listed, in order."""
        return sorted(self._listed)

    def enlist(self, row: int, item: Description, has_occurred: bool, is_candidate: bool = True) -> None:
        """Take in what is said of a row; what was said of it before holds no longer.

        `is_candidate`: though it never occurred, it may be recommended.
        """
        self.reserve(row + 1)
        recoded = self._attributes.write(row, attributes_of(item))
        self._listed.add(row)
        if has_occurred:
            for shelves in self._shelves:
                note_occurred(shelves, row)
        for number, kind in enumerate(self.kinds):
            if not set(kind).isdisjoint(recoded):
                self._begin(number)
            self._shelve(number, row)
        self._shelve_kindless(np.array([row], np.int64))
        if is_candidate:
            for shelves in self._shelves:
                list_item(shelves, row)
        if len(self._listed) >= self._next_choice:
            self.choose_kinds()

    def take_occurred(self, tables: Tables) -> None:
        """Take in which items occurred while nothing was listed; they are no newcomers."""
        self.reserve(len(tables.facts))
        for shelves in self._shelves:
            note_all_that_occurred(shelves, tables)

    def remove(self, row: int) -> int:
        """Let a row be no candidate on account of what it is any more.

        Returns its text if no listed item has it now, else -1.
        """
        self.reserve(row + 1)
        self._listed.discard(row)
        for shelves in self._shelves:
            unlist(shelves, row)
        self._speakers.list_item(row, NONE)
        return self._left_alone(int(self.tables.texts.values[_TEXT, row]))

    def put_text(self, row: int, text: int) -> int:
        """Say which text a listed row has, by its number; -1: none.

        Returns the text that it had if no listed item has it now, else -1.
        """
        self.reserve(row + 1)
        self.tables = with_texts(self.tables, text + 1)
        before = int(self.tables.texts.values[_TEXT, row])
        if before != text:
            put(self.tables.texts, _TEXT, row, text)
            self._speakers.hold(before, text)
        self._speakers.list_item(row, text)
        return self._left_alone(before)

    def has_item(self, text: int) -> bool:
        """Return whether a listed item has a text."""
        return self._speakers.has_listed(text)

    def is_held(self, text: int) -> bool:
        """Return whether any item has a text, listed or removed."""
        return self._speakers.is_held(text)

    def clear_texts(self, texts: Rows) -> None:
        """Let int32[n] numbers of texts that no item has stand for others."""
        self.tables = with_texts(self.tables, int(texts.max(initial=-1)) + 1)
        self.tables.near[texts], self.tables.nearness[texts] = NONE, 0.0
        self.tables.texts.takes[_TEXT, texts] = 0.0

    def forget_texts(self) -> None:
        """Forget which texts there are: their numbers hold no longer."""
        fresh = empty_content(0)
        texts = with_rows(fresh, self.tables.texts.values.shape[1]).texts
        texts.states[:] = self.tables.texts.states
        names = ("near", "nearness", "sums", "queries")
        empty = {name: getattr(fresh, name) for name in names}
        self.tables = self.tables._replace(texts=texts, **empty)
        self._speakers = Speakers()

    def put_neighbours(self, texts: Rows, neighbours: Rows, similarities: Floats) -> None:
        """Say which texts are nearest to each of int32[n]: int32[n, NEAR], -1 for none, float32[n, NEAR]."""
        self.tables = with_texts(self.tables, int(texts.max(initial=-1)) + 1)
        self.tables.near[texts] = neighbours
        self.tables.nearness[texts] = similarities

    def choose_kinds(self) -> None:
        """Choose the kinds that say most of what is listed so far; those that stay keep what was counted."""
        rows = np.array(self.listed, np.int64)
        chosen = choose_kinds(
            {name: self._attributes.codes(name, rows) for name in self._attributes.names}, KINDS
        )
        if not self.tables.tables.clock[:, NOW].any():  # nothing was counted
            self.kinds, self._numbers = [], []  # so that the best comes first, as it gathers first
        new = [kind for kind in chosen if kind not in self.kinds]
        leaving = [number for number, kind in enumerate(self.kinds) if kind not in chosen]
        for kind in new:
            if len(self.kinds) < KINDS:
                self.kinds.append(kind)
                self._numbers.append({})
                number = len(self.kinds) - 1
            else:
                number = leaving.pop(0)
                self.kinds[number], self._numbers[number] = kind, {}
            self._begin(number)
        self.tables.used[0] = len(self.kinds)
        self._next_choice = _after(len(rows)) if self.kinds else _SOON * len(rows)
        self._shelve_kindless(rows)

    def reserve(self, rows: int) -> None:
        """Make room for so many items."""
        self.tables = with_rows(self.tables, rows)

    def count(
        self, tables: Tables, history: History, row: int, action: int, time_ms: int, is_late: bool
    ) -> None:
        """Take in an event that was just counted in the items' tables."""
        self.reserve(row + 1)
        count_content(self.tables, tables, history, row, action, time_ms, is_late, row not in self._listed)

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """Return a copy of everything that is known."""
        words = {"kinds": self.kinds, "numbers": [list(numbers) for numbers in self._numbers]}
        return {
            **copied(self.tables),
            **{f"attributes_{name}": array for name, array in self._attributes.snapshot().items()},
            "kinds": np.frombuffer(json.dumps(words).encode(), np.uint8),
            "listed": np.array(self.listed, np.int64),
            "next_choice": np.array([self._next_choice]),
        }

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Become what the snapshot was of. Raises ValueError for one of other sizes."""
        self.tables = from_copy(arrays)
        self._attributes.restore({name.removeprefix("attributes_"): array for name, array in arrays.items()})
        words = json.loads(arrays["kinds"].tobytes())
        self.kinds = [tuple(kind) for kind in words["kinds"]]
        self._numbers = [
            {tuple(codes): number for number, codes in enumerate(numbers)} for numbers in words["numbers"]
        ]
        self._listed = set(arrays["listed"].tolist())
        self._next_choice = int(arrays["next_choice"][0])
        self._shelve_kindless(arrays["listed"])  # which were not always kept together
        self._speakers = Speakers()
        for row, text in enumerate(self.tables.texts.values[_TEXT].tolist()):
            self._speakers.hold(NONE, text)
            if row in self._listed:
                self._speakers.list_item(row, text)

    @property
    def _shelves(self) -> tuple[Shelves, ...]:
        return self.tables.shelves, self.tables.texts, self.tables.kindless

    def _begin(self, kind: int) -> None:
        """Begin a kind anew: forget what was counted, and put what is listed on the shelves of its values."""
        clear_kind(self.tables, kind)
        rows = np.array(self.listed, np.int64)
        values = joined([self._attributes.codes(name, rows) for name in self.kinds[kind]])
        numbers, firsts = np.unique(values, return_index=True)
        self._numbers[kind] = {
            self._attributes.together(self.kinds[kind], row): number
            for number, row in zip(numbers.tolist(), rows[firsts].tolist(), strict=True)
            if number != NONE
        }
        self.tables = with_values(self.tables, len(self._numbers[kind]))
        put_all(self.tables.shelves, kind, rows, values)

    def _left_alone(self, text: int) -> int:
        return NONE if text == NONE or self._speakers.has_listed(text) else text

    def _shelve(self, kind: int, row: int) -> None:
        """Put a row on the shelf of its value, where it is not on it."""
        codes, numbers = self._attributes.together(self.kinds[kind], row), self._numbers[kind]
        value = -1 if min(codes) < 0 else numbers.setdefault(codes, len(numbers))
        if len(numbers) > self._attributes.most_values:
            self._begin(kind)  # most are of the past: what is counted must not grow with the messages
            return
        self.tables = with_values(self.tables, value + 1)
        put(self.tables.shelves, kind, row, value)

    def _shelve_kindless(self, rows: Times) -> None:
        """Put those of int64[n] rows that have no value of any kind on their shelf, and no others."""
        is_kindless = (self.tables.shelves.values[:, rows] == NONE).all(axis=0)
        places = np.where(is_kindless, _KINDLESS, NONE).astype(np.int32)
        put_all(self.tables.kindless, _KINDLESS, rows, places)


def _after(listed: int) -> int:
    """Return the number of listed items at which kinds are chosen again: the same for every catalogue."""
    choice = _FIRST_CHOICE
    while choice <= listed:
        choice *= _LATER
    return choice
