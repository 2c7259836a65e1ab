"""A log in chunks, and what of it the stream had had before."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from streams.events import Interaction


def cut(interactions: Iterable[Interaction], size: int, whole_ties: bool) -> Iterator[list[Interaction]]:
    """Yield chunks of `size` in the log's order; `whole_ties` makes one longer rather than cut an instant."""
    chunk: list[Interaction] = []
    for interaction in interactions:
        is_tied = whole_ties and bool(chunk) and interaction.timestamp_ms == chunk[-1].timestamp_ms
        if len(chunk) >= size and not is_tied:
            yield chunk
            chunk = []
        chunk.append(interaction)
    if chunk:
        yield chunk


class SeenItems:
    """Tells of every event whether its item occurred before it, or, with `whole_ties`, before its instant."""

    def __init__(self, whole_ties: bool) -> None:
        self._whole_ties = whole_ties
        self._seen: set[str] = set()
        self._was_seen = bytearray()

    def __len__(self) -> int:
        return len(self._was_seen)

    def add(self, chunk: Sequence[Interaction]) -> None:
        """Take in a chunk that ends where an instant ends."""
        instant: list[str] = []
        time_ms: int | None = None
        for interaction in chunk:
            if not self._whole_ties or interaction.timestamp_ms != time_ms:
                self._seen.update(instant)
                instant = []
            time_ms = interaction.timestamp_ms
            self._was_seen.append(interaction.item_id in self._seen)
            instant.append(interaction.item_id)
        self._seen.update(instant)

    def mask(self) -> NDArray[np.bool_]:
        """Return bool[events]."""
        return np.frombuffer(bytes(self._was_seen), np.bool_)
