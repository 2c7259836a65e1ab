"""Which items every worker can look up by their keys: their ids were committed to the topic of item ids."""

import logging
from collections.abc import Iterable

from models.catalog import Catalog, KeyCollision

log = logging.getLogger(__name__)


class DurableIds:
    """A set of rows of the catalogue."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._is_there = bytearray()  # 1 for each row of the set

    def __contains__(self, row: int) -> bool:
        """Return whether a row's id is durable."""
        return row < len(self._is_there) and self._is_there[row] == 1

    def learn(self, ids: Iterable[tuple[int, str]]) -> None:
        """Take in item ids that are durable, by their keys."""
        for key, item_id in ids:
            try:
                row = self._catalog.admit_key(key, item_id)
            except KeyCollision as collision:
                log.warning("an item id of another worker is left out: %s", collision)
            else:
                self._mark(row)

    def snapshot(self) -> bytes:
        """Return a byte for each row, 1: it is in the set."""
        return bytes(self._is_there)

    def restore(self, is_there: bytes) -> None:
        """Become what the snapshot was of."""
        self._is_there = bytearray(is_there)

    def _mark(self, row: int) -> None:
        if row >= len(self._is_there):
            self._is_there.extend(bytes(len(self._catalog) - len(self._is_there)))
        self._is_there[row] = 1
