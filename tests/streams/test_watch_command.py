"""`freshet watch`: what it shows to people and to programs, and how it ends."""

import json
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from streams.settings import Settings
from streams.watching import ListReader
from tests.streams.published import MADE_AT, list_of

Freshet = Callable[..., tuple[int, str, str]]


@pytest.fixture
def once_watching(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], None]], None]:
    """Give a function that has something done as soon as a reader stands at the topic's end."""

    def arrange(action: Callable[[], None]) -> None:
        entered = ListReader.__enter__

        def enter(reader: ListReader) -> ListReader:
            entered(reader)
            action()
            return reader

        monkeypatch.setattr(ListReader, "__enter__", enter)

    return arrange


def test_the_command_shows_lists_to_a_person(
    watched: Settings,
    publish: Callable[..., None],
    once_watching: Callable[..., None],
    settings_file: Callable[[Settings], Path],
    freshet: Freshet,
) -> None:
    """Titles, marks, reasons, what is gone, ages; a title cannot write to the terminal; others on stderr."""
    now_ms = time.time_ns() // 1_000_000
    hour_ago = now_ms - 10_800_000
    once_watching(
        lambda: publish(
            ("u1", list_of("u1", "ta", "tb", "x", made_at=hour_ago)),
            ("u1", b"{"),
            ("u1", list_of("u1", "tb", "t\x1b[2J", "x", republished=True, made_at=now_ms + 600_000)),
            ("u1", None),
            ("u2", list_of("u2")),
        )
    )
    code, out, err = freshet("watch", "--limit", 4, "--config", settings_file(watched))
    assert code == 0
    lines = [line.split() for line in out.splitlines()]
    assert lines[0] == ["u1", "made", "3", "h", "ago,", "newest", "event", "3", "h", "ago"]
    assert lines[1:4] == [
        ["1", "Title", "ta", "rising"],
        ["2", "Title", "tb", "rising"],
        ["3", "x", "rising"],
    ]
    assert "ahead of this clock, republished" in out
    assert lines[6:10] == [
        ["1", "↑2", "Title", "tb", "rising"],
        ["2", "+", "Title", "t�[2J", "rising"],
        ["3", "=", "x", "rising"],
        ["gone:", "Title", "ta"],
    ]
    assert "u1  erased" in out
    assert "nothing to recommend" in out
    assert "\x1b" not in out
    assert err.count("\n") == 1
    assert f"{watched.topics.recommendations}, partition 2, offset 1 is not a list" in err


def test_the_command_prints_a_line_of_json_for_each_list(
    watched: Settings,
    publish: Callable[..., None],
    once_watching: Callable[..., None],
    settings_file: Callable[[Settings], Path],
    freshet: Freshet,
) -> None:
    """A line is what was published, with what moved; a user who was erased has no items."""
    publish(("u1", list_of("u1", "tb", "a")))
    once_watching(lambda: publish(("u1", list_of("u1", "a")), ("u1", None)))
    code, out, err = freshet("watch", "u1", "--limit", 2, "--json", "--config", settings_file(watched))
    assert (code, err) == (0, "")
    published, erased = map(json.loads, out.splitlines())
    age_seconds = published.pop("made_seconds_ago")
    assert published.pop("event_seconds_ago") == pytest.approx(age_seconds + 0.022)
    assert published == {
        "user_id": "u1",
        "partition": 2,
        "offset": 1,
        "erased": False,
        "republished": False,
        "made_at": MADE_AT,
        "event_time": MADE_AT - 22,
        "model_version": "7f3a:1",
        "positions": {"clicks": [0, 1]},
        "items": [
            {
                "item_id": "a",
                "title": None,
                "score": 0.5,
                "reasons": ["rising"],
                "moved": "up",
                "place_before": 2,
            }
        ],
        "gone": ["tb"],
    }
    assert erased == {
        "user_id": "u1",
        "partition": 2,
        "offset": 2,
        "erased": True,
        "items": [],
        "gone": ["a"],
    }


def test_a_missing_topic_and_a_missing_broker_are_one_line(
    settings_for: Callable[..., Settings],
    unshared_settings: Callable[..., Settings],
    settings_file: Callable[[Settings], Path],
    freshet: Freshet,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where there is nothing to watch the error says what to do, and no topic is created."""
    monkeypatch.setattr("streams.connection._KNOCK_SECONDS", 0.1)
    code, out, err = freshet("watch", "--config", settings_file(settings_for()))
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "freshet topics create" in err
    code, out, err = freshet("watch", "--config", settings_file(unshared_settings()))
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "no Kafka answers" in err


@pytest.fixture
def watch_process(
    watched: Settings, settings_file: Callable[[Settings], Path]
) -> Iterator[subprocess.Popen[str]]:
    """Give a `freshet watch --json` in a process of its own."""
    command = [sys.executable, "-m", "streams", "watch", "--json", "--config", str(settings_file(watched))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


@pytest.fixture
def published_until(publish: Callable[..., None]) -> Callable[[Callable[[], Any]], None]:
    """Give a function that publishes a list again and again while it waits for something."""

    def until(condition: Callable[[], Any]) -> None:
        deadline = time.monotonic() + 30
        while not condition():
            assert time.monotonic() < deadline, "waited in vain"
            publish(("u1", list_of("u1", "a")))
            time.sleep(0.1)

    return until


def test_ctrl_c_is_the_lawful_end(
    watch_process: subprocess.Popen[str], published_until: Callable[..., None]
) -> None:
    """Interrupted, it exits with 0 and says nothing."""
    assert watch_process.stdout is not None
    selector = selectors.DefaultSelector()
    selector.register(watch_process.stdout, selectors.EVENT_READ)
    published_until(lambda: selector.select(timeout=0))
    selector.close()
    watch_process.send_signal(signal.SIGINT)
    out, err = watch_process.communicate(timeout=20)
    assert (watch_process.returncode, err) == (0, "")
    assert {json.loads(line)["user_id"] for line in out.splitlines()} == {"u1"}


def test_a_reader_that_goes_away_ends_it(
    watch_process: subprocess.Popen[str], published_until: Callable[..., None]
) -> None:
    """When nobody reads the pipe any more, it exits with 0 and says nothing."""
    assert watch_process.stdout is not None
    assert watch_process.stderr is not None
    watch_process.stdout.close()
    published_until(lambda: watch_process.poll() is not None)
    assert (watch_process.returncode, watch_process.stderr.read()) == (0, "")
