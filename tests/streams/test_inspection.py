"""What a worker says of itself when it is asked."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from streams.encoding import TextEncoding, open_encoding
from streams.identity import Identity
from streams.inspection import Inspector
from streams.lane import Lane
from streams.metrics import Metrics
from streams.recommender import Recommender
from streams.settings import Settings

SETTINGS = Settings(device="cpu", encoder="ngrams")


class Worker:
    """A worker without partitions."""

    def __init__(self, texts: TextEncoding | None) -> None:
        self.identity = Identity(1, "freshet", "w1")
        self.recommender = Recommender(SETTINGS)
        self.texts = texts

    def readiness(self) -> str | None:
        """Return why it is not ready."""
        return "no partitions were assigned yet"

    def owned(self) -> Sequence[Lane]:
        """Return none."""
        return []


async def at_once(call: Callable[..., Any], *arguments: object) -> object:
    """Call without another thread."""
    return call(*arguments)


def test_a_worker_tells_how_many_texts_wait_and_why(tmp_path: Path) -> None:
    """`texts` has what waits and what is wrong with the encoder, nothing where texts are not encoded."""
    texts = open_encoding(SETTINGS, tmp_path, Metrics())
    assert texts is not None
    texts.submit("a chair")
    inspector = Inspector(Worker(texts), at_once)
    assert asyncio.run(inspector.inspect_worker())["texts"] == {"waiting": 1, "failure": None}
    texts.failure = "no weights"
    texts.drain()
    assert asyncio.run(inspector.inspect_worker())["texts"] == {"waiting": 0, "failure": "no weights"}
    assert asyncio.run(Inspector(Worker(None), at_once).inspect_worker())["texts"] is None
