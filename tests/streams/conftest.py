"""Fixtures for tests that run workers on a real Kafka, or a lane without one."""

import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from streams import lane, pacing
from streams.cli import main
from streams.connection import consumer, producer
from streams.events import RecommendationList, decode_list
from streams.guard import spawn_guarded
from streams.settings import Settings
from streams.topics import create_topics
from tests.streams.forking import Forked
from tests.streams.lane_bench import Bench
from tests.streams.running import Shop, WorkerProcess


@pytest.fixture
def start_worker(
    settings_file: Callable[[Settings], Path], tmp_path: Path
) -> Iterator[Callable[..., WorkerProcess]]:
    """Give a function that starts a worker, forked (fast) or as the command; none survives the test."""
    started: list[WorkerProcess] = []

    def start(
        settings: Settings, data_directory: str | None = None, as_command: bool = False
    ) -> WorkerProcess:
        if data_directory is not None:
            settings = msgspec.structs.replace(settings, data_directory=data_directory)
        log = tmp_path / f"worker-{len(started)}.log"
        words = ["worker", "--config", str(settings_file(settings))]
        if as_command:
            process = spawn_guarded([sys.executable, "-m", "streams", *words], stdout=log)
        else:
            process = Forked(main, words, log=log)
        started.append(WorkerProcess(settings, process, log))
        return started[-1]

    yield start
    for worker in started:
        worker.process.close()


@pytest.fixture
def read_topic() -> Callable[[Settings, str], list[Any]]:
    """Give a function that reads the committed records of a topic from beginning to end."""

    def read(settings: Settings, topic: str) -> list[Any]:
        with consumer(settings) as reader:
            from kafka import TopicPartition

            partitions = [TopicPartition(topic, p) for p in reader.partitions_for_topic(topic) or ()]
            reader.assign(partitions)
            reader.seek_to_beginning(*partitions)
            ends = reader.end_offsets(partitions)
            records: list[Any] = []
            while any(reader.position(tp) < ends[tp] for tp in partitions):
                for batch in reader.poll(timeout_ms=200).values():
                    records += batch
            return records

    return read


@pytest.fixture
def newest_lists(
    read_topic: Callable[[Settings, str], Sequence[Any]],
) -> Callable[[Settings], dict[str, RecommendationList]]:
    """Give a function that returns every user's newest list."""

    def newest(settings: Settings) -> dict[str, RecommendationList]:
        records = read_topic(settings, settings.topics.recommendations)
        return {record.key.decode(): decode_list(record.value) for record in records}

    return newest


@pytest.fixture
def open_shop() -> Iterator[Callable[[Settings], Shop]]:
    """Give a function that opens a shop, the oracle, over the topics of some settings."""
    opened: list[Shop] = []

    def open_(settings: Settings) -> Shop:
        opened.append(Shop(settings))
        return opened[-1]

    yield open_
    for shop in opened:
        shop.close()


@pytest.fixture
def watched(settings_for: Callable[..., Settings]) -> Settings:
    """Give settings whose topics exist, to be watched."""
    settings = settings_for()
    create_topics(settings)
    return settings


@pytest.fixture
def publish(watched: Settings) -> Iterator[Callable[..., None]]:
    """Give a function that publishes (user id, message) pairs to one partition, in their order."""
    with producer(watched) as kafka:

        def publish_(*messages: tuple[str, bytes | None]) -> None:
            for user_id, message in messages:
                kafka.send(watched.topics.recommendations, key=user_id.encode(), value=message, partition=2)
            kafka.flush()

        yield publish_


@pytest.fixture
def freshet(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Give a function that runs a command: exit code, stdout, stderr."""

    def run(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return int(ended.value.code or 0), captured.out, captured.err

    return run


@pytest.fixture
async def bench(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    """Give a bench whose lane works, and waits for nothing."""
    monkeypatch.setattr(lane, "RETRY_SECONDS", 0.0)
    monkeypatch.setattr(pacing, "COMMIT_SECONDS", 0.0)
    made = Bench()
    made.lane.start()
    made.lane.begin(1)
    yield made
    await made.lane.close()
    made.thread.shutdown()
