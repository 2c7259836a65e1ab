"""One stage for all crash points: a stream, a group that nothing ever happens to, and groups that are hit."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.broker import Broker
from streams.settings import Settings, Source, Topics
from tests.crash_points.stage import AT_ONCE, Stage


@pytest.fixture(scope="module")
def stage(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Give the stage, with the undisturbed group at work."""
    directory: Path = tmp_path_factory.mktemp("stage")
    name = f"c{directory.name[-6:]}"
    settings = Settings(
        bootstrap_servers=broker.bootstrap_servers,
        group=name,
        metrics_port=0,
        device="cpu",
        history_length=20,
        exclude="purchased",
        checkpoint_seconds=1,
        topics=Topics(items=f"{name}-items", erasures=f"{name}-erasures", partitions=3),
        sources={
            f"{name}-clicks": Source(action="click", weight=1.0),
            f"{name}-purchases": Source(action="purchase", weight=4.0),
        },
    )
    made = Stage(settings, directory, AT_ONCE)
    yield made
    made.close()
