"""What keeps a worker from starting is one line that says what to do, and nothing is left behind."""

import json
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from streams.connection import admin
from streams.identity import VERSION
from streams.settings import Settings
from tests.streams.running import Shop, WorkerProcess

SettingsFor = Callable[..., Settings]
Fails = Callable[[Settings], tuple[int, str]]


@pytest.fixture
def fails(settings_file: Callable[[Settings], Path]) -> Fails:
    """Give a function that runs a worker that cannot start; returns its exit code and its last line."""

    def run(settings: Settings) -> tuple[int, str]:
        command = [sys.executable, "-m", "streams", "worker", "--config", str(settings_file(settings))]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        lines = done.stderr.strip().splitlines()
        assert "Traceback" not in done.stderr
        return done.returncode, lines[-1]

    return run


def test_no_broker(unshared_settings: SettingsFor, fails: Fails) -> None:
    """Without a broker the worker says where it looked and how to start one, and makes no directory."""
    settings = unshared_settings("127.0.0.1:1")
    code, line = fails(settings)
    assert code == 1
    assert "127.0.0.1:1" in line
    assert "freshet broker start" in line
    assert not Path(settings.data_directory).exists()


def test_no_source_topic(settings_for: SettingsFor, fails: Fails) -> None:
    """A source that does not exist is named, with the command that creates it."""
    settings = settings_for()
    code, line = fails(settings)
    assert code == 2
    assert next(iter(settings.sources)) in line
    assert "freshet topics create" in line
    assert not Path(settings.data_directory).exists()


def test_sources_with_different_partition_counts(settings_for: SettingsFor, fails: Fails) -> None:
    """Sources whose partition counts differ are refused: a user would lie in two partitions."""
    from kafka.admin import NewTopic

    settings = settings_for()
    with admin(settings) as client:
        client.create_topics(
            [NewTopic(name, partitions, 1) for name, partitions in zip(settings.sources, (4, 6), strict=True)]
        )
    code, line = fails(settings)
    assert code == 2
    assert "4" in line
    assert "6" in line
    assert not Path(settings.data_directory).exists()


def test_data_directory_of_another_group(
    settings_for: SettingsFor, open_shop: Callable[[Settings], Shop], fails: Fails
) -> None:
    """A directory that belongs to another group, or was written by a newer version, is left alone."""
    settings = settings_for()
    open_shop(settings)
    directory = Path(settings.data_directory)
    directory.mkdir()
    identity = directory / "identity.json"
    for version, group, word in (
        (VERSION, "others", "others"),
        (VERSION + 1, settings.group, "newer"),
    ):
        text = json.dumps({"version": version, "group": group, "worker_id": "ab"})
        identity.write_text(text, encoding="utf-8")
        code, line = fails(settings)
        assert code == 2
        assert word in line
        assert identity.read_text(encoding="utf-8") == text
        assert [path.name for path in directory.iterdir()] == ["identity.json"]


def test_a_directory_that_is_not_ours(
    settings_for: SettingsFor, open_shop: Callable[[Settings], Shop], fails: Fails
) -> None:
    """A directory with somebody's files in it is not written to."""
    settings = settings_for()
    open_shop(settings)
    directory = Path(settings.data_directory)
    directory.mkdir()
    (directory / "thesis.txt").write_text("precious", encoding="utf-8")
    code, line = fails(settings)
    assert code == 2
    assert "not a data directory" in line
    assert [path.name for path in directory.iterdir()] == ["thesis.txt"]


def test_occupied_port(
    settings_for: SettingsFor, open_shop: Callable[[Settings], Shop], fails: Fails
) -> None:
    """An occupied metrics port is named, with the setting that changes it."""
    settings = settings_for()
    open_shop(settings)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, line = fails(msgspec.structs.replace(settings, metrics_port=port))
    assert code == 2
    assert str(port) in line
    assert "metrics_port" in line


def test_a_directory_in_use(
    settings_for: SettingsFor,
    open_shop: Callable[[Settings], Shop],
    start_worker: Callable[..., WorkerProcess],
    fails: Fails,
) -> None:
    """Two workers do not share a data directory: the second one says so and the first goes on."""
    settings = settings_for()
    open_shop(settings)
    worker = start_worker(settings)
    worker.wait_ready()
    code, line = fails(settings)
    assert code == 2
    assert "another worker" in line
    assert worker.get("/ready")[0] == 200
