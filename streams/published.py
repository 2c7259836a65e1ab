"""What is in the newest published list of the users who got one last: whose is to be made again."""

from collections import OrderedDict

import numpy as np
from numpy.typing import NDArray

from models.catalog import RowArray

Hidden = NDArray[np.bool_]  # [R]: the rows that may not be recommended

MEMORY_BYTES = 64 * 2**20  # for all partitions of a worker together
USER_BYTES = 300  # what a user costs besides the rows: the id, its place in the order
ROW_BYTES = 4


def most_users(list_length: int, partitions: int) -> int:
    """Return how many users' lists a partition remembers: 50,000 for lists of 10 in 4 partitions."""
    return max(MEMORY_BYTES // (USER_BYTES + ROW_BYTES * list_length) // partitions, 1)


class PublishedLists:
    """The newest published lists of one partition, as rows. Every call belongs to the model's thread.

    Bounded: beyond `most` users, who got a list longest ago is forgotten. Of a list, the first `length` items
    are remembered; there are more only where lists were longer before.
    """

    def __init__(self, most: int, length: int) -> None:
        self.waiting: dict[str, None] = {}  # users whose list has what may not be recommended any more
        self._most = most
        self._rows: RowArray = np.zeros((most, length), np.int32)  # [most, length]: paged in as it is used
        self._slots: OrderedDict[str, int] = OrderedDict()  # who got a list last comes last
        self._users: list[str] = []  # by slot

    def __len__(self) -> int:
        return len(self._slots)

    def put(self, user_id: str, rows: RowArray, hidden: Hidden) -> None:
        """Take in that a list of these rows, int32[k], was published.

        A row that is unknown, -1, is of an item that was removed before this process began.
        """
        self.waiting.pop(user_id, None)
        if not len(rows):
            self.forget(user_id)
            return
        slot = self._slots.get(user_id)
        if slot is None:
            slot = self._new_slot(user_id)
        self._slots.move_to_end(user_id)
        first = rows[: self._rows.shape[1]]
        self._rows[slot] = rows[0]  # what is not there is the best once more
        self._rows[slot, : len(first)] = first
        if rows.min() < 0 or hidden[rows].any():
            self.waiting[user_id] = None

    def forget(self, user_id: str) -> None:
        """Forget a user; nothing if there is none."""
        self.waiting.pop(user_id, None)
        slot = self._slots.pop(user_id, None)
        if slot is None:
            return
        last = self._users.pop()  # which moves to where there is room now
        if last != user_id:
            self._users[slot], self._slots[last] = last, slot
            self._rows[slot] = self._rows[len(self._users)]

    def clear(self) -> None:
        """Forget all users."""
        self.waiting.clear()
        self._slots.clear()
        self._users.clear()

    def find(self, hidden: Hidden) -> None:
        """Let all wait whose list has a row that is hidden: some milliseconds for 50,000 lists."""
        found = hidden[self._rows[: len(self._users)]].any(axis=1)  # [users]
        self.waiting |= {self._users[slot]: None for slot in np.flatnonzero(found).tolist()}

    def _new_slot(self, user_id: str) -> int:
        if len(self._users) == self._most:
            self.forget(next(iter(self._slots)))
        self._slots[user_id] = len(self._users)
        self._users.append(user_id)
        return self._slots[user_id]
