"""When checkpoints are taken."""

from collections.abc import Callable
from pathlib import Path

from streams.checkpointing import Checkpointer
from streams.identity import CHECKPOINTS
from streams.metrics import Metrics
from streams.recommender import Recommender
from streams.settings import Settings


async def test_none_is_begun_once_the_worker_stops(tmp_path: Path) -> None:
    """The model's thread ends with the worker: a checkpoint that still asked for it would be a crash."""
    asked = 0

    async def in_model_thread(call: Callable[[], object]) -> object:
        nonlocal asked
        asked += 1
        return call()

    recommender = Recommender(Settings(device="cpu"))
    checkpointer = Checkpointer(tmp_path, 0.0, recommender, Metrics(), in_model_thread)
    await checkpointer.run(lambda: asked == 2)
    assert asked == 2
    assert len(list((tmp_path / CHECKPOINTS).iterdir())) == 2
