"""Watching lists: what arrives, what moved in it, and how it ends."""

import json
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from streams import watching
from streams.cli import main
from streams.connection import producer
from streams.events import RecommendationList, RecommendedItem, encode_list
from streams.settings import Settings
from streams.topics import create_topics
from streams.watching import Arrival, ListReader, NoList, moved
from tests.streams.running import Shop, WorkerProcess

if TYPE_CHECKING:
    from kafka import KafkaProducer

Freshet = Callable[..., tuple[int, str, str]]
MADE_AT = 1_763_880_000_123


def list_of(user_id: str, *item_ids: str, republished: bool = False, made_at: int = MADE_AT) -> bytes:
    """Return the message of a list; only items whose id begins with t have a title."""
    items = [
        RecommendedItem(
            item_id=item_id,
            score=0.5,
            title=f"Title {item_id}" if item_id[0] == "t" else None,
            reasons=["rising"],
        )
        for item_id in item_ids
    ]
    return encode_list(
        RecommendationList(
            user_id=user_id,
            made_at=made_at,
            event_time=made_at - 22,
            model_version="7f3a:1",
            positions={"clicks": (0, 1)},
            items=items,
            republished=republished,
        )
    )


@pytest.fixture
def topic(settings_for: Callable[..., Settings]) -> Settings:
    """Give settings whose topics exist."""
    settings = settings_for()
    create_topics(settings)
    return settings


@pytest.fixture
def publish(topic: Settings) -> Iterator[Callable[..., None]]:
    """Give a function that publishes (user id, message) pairs to one partition, in their order."""
    with producer(topic) as kafka:

        def publish_(*messages: tuple[str, bytes | None]) -> None:
            for user_id, message in messages:
                kafka.send(topic.topics.recommendations, key=user_id.encode(), value=message, partition=2)
            kafka.flush()

        yield publish_


@pytest.fixture
def freshet(capsys: pytest.CaptureFixture[str]) -> Freshet:
    """Give a function that runs a command: exit code, stdout, stderr."""

    def run(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return int(ended.value.code or 0), captured.out, captured.err

    return run


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


@pytest.mark.parametrize(
    ("before", "now", "how"), [(None, 1, "new"), (3, 1, "up"), (1, 2, "down"), (2, 2, "same")]
)
def test_a_move_is_told_by_two_places(before: int | None, now: int, how: str) -> None:
    """An item moves up towards the first place, and is new where it had none."""
    assert moved(before, now) == how


def test_a_list_says_what_moved_against_the_one_before(topic: Settings, publish: Callable[..., None]) -> None:
    """The list before is the same user's, also one from before the watch began; of none nothing is said."""
    publish(("u1", list_of("u1", "a", "b", "tc")))
    with ListReader(topic) as reader:
        publish(("u2", list_of("u2", "b", "a")), ("u1", list_of("u1", "b", "a", "d")))
        first, second = islice(reader.arrivals(), 2)
    assert isinstance(first, Arrival)
    assert (first.user_id, first.before, first.moved(1, "b"), first.gone) == ("u2", None, None, {})
    assert isinstance(second, Arrival)
    assert second.before == {"a": "a", "b": "b", "tc": "Title tc"}
    moves = [second.moved(place, item_id) for place, item_id in enumerate("bad", 1)]
    assert moves == ["up", "down", "new"]
    assert second.gone == {"tc": "Title tc"}


def test_reading_back_is_bounded(
    topic: Settings, publish: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What lies further from the end than is read back is not known, and no user more is remembered."""
    monkeypatch.setattr(watching, "READ_BACK_RECORDS", 2)
    monkeypatch.setattr(watching, "REMEMBERED_USERS", 2)
    publish(*((user_id, list_of(user_id, "a")) for user_id in ("u1", "u2", "u3")))
    with ListReader(topic) as reader:
        publish(*((user_id, list_of(user_id, "a")) for user_id in ("u1", "u3", "u2")))
        known = [
            isinstance(each, Arrival) and each.before is not None for each in islice(reader.arrivals(), 3)
        ]
    assert known == [False, True, False]


def test_an_erased_user_begins_anew(topic: Settings, publish: Callable[..., None]) -> None:
    """A tombstone is the end of the list before: all of it is gone, and the next list is all new."""
    with ListReader(topic) as reader:
        publish(("u1", list_of("u1", "a")), ("u1", None), ("u1", list_of("u1", "a")))
        _, erased, again = islice(reader.arrivals(), 3)
    assert isinstance(erased, Arrival)
    assert erased.recommendations is None
    assert list(erased.gone) == ["a"]
    assert isinstance(again, Arrival)
    assert again.moved(1, "a") == "new"


def test_what_is_no_list_is_passed_over(topic: Settings, publish: Callable[..., None]) -> None:
    """Each is told with its position and why, and the lists around it arrive."""
    with ListReader(topic) as reader:
        publish(("u1", list_of("u1")), ("u1", b"{"), ("u1", list_of("u2")), ("u1", list_of("u1")))
        arrived = list(islice(reader.arrivals(), 4))
    assert [type(each) for each in arrived] == [Arrival, NoList, NoList, Arrival]
    assert [(each.partition, each.offset) for each in arrived] == [(2, 0), (2, 1), (2, 2), (2, 3)]
    assert isinstance(arrived[1], NoList)
    assert "expected JSON" in arrived[1].detail
    assert isinstance(arrived[2], NoList)
    assert "'u2', found 'u1'" in arrived[2].detail


def test_only_the_users_named_arrive(topic: Settings, publish: Callable[..., None]) -> None:
    """Of other users neither lists nor what is no list arrive."""
    with ListReader(topic, ["u1", "ü3"]) as reader:
        publish(("u2", list_of("u2")), ("ü3", list_of("ü3")), ("u2", b"{"), ("u1", list_of("u1")))
        arrived = list(islice(reader.arrivals(), 2))
    assert [each.user_id for each in arrived if isinstance(each, Arrival)] == ["ü3", "u1"]


def test_what_a_transaction_took_back_never_arrives(topic: Settings, publish: Callable[..., None]) -> None:
    """A list that was aborted is not shown: the next committed one is the first."""
    with ListReader(topic) as reader:
        aborting: KafkaProducer
        with producer(topic, transactional_id=topic.group) as aborting:
            aborting.init_transactions()
            aborting.begin_transaction()
            aborting.send(topic.topics.recommendations, key=b"u1", value=list_of("u1", "a"), partition=2)
            aborting.flush()
            aborting.abort_transaction()
        publish(("u1", list_of("u1", "b")))
        arrived = next(reader.arrivals())
    assert isinstance(arrived, Arrival)
    assert arrived.recommendations is not None
    assert [item.item_id for item in arrived.recommendations.items] == ["b"]


def test_the_command_shows_lists_to_a_person(
    topic: Settings,
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
    code, out, err = freshet("watch", "--limit", 4, "--config", settings_file(topic))
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
    assert f"{topic.topics.recommendations}, partition 2, offset 1 is not a list" in err


def test_the_command_prints_a_line_of_json_for_each_list(
    topic: Settings,
    publish: Callable[..., None],
    once_watching: Callable[..., None],
    settings_file: Callable[[Settings], Path],
    freshet: Freshet,
) -> None:
    """A line is what was published, with what moved; a user who was erased has no items."""
    publish(("u1", list_of("u1", "tb", "a")))
    once_watching(lambda: publish(("u1", list_of("u1", "a")), ("u1", None)))
    code, out, err = freshet("watch", "u1", "--limit", 2, "--json", "--config", settings_file(topic))
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
    topic: Settings, settings_file: Callable[[Settings], Path]
) -> Iterator[subprocess.Popen[str]]:
    """Give a `freshet watch --json` in a process of its own."""
    command = [sys.executable, "-m", "streams", "watch", "--json", "--config", str(settings_file(topic))]
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


def test_a_workers_lists_arrive(
    settings_for: Callable[..., Settings],
    open_shop: Callable[[Settings], Shop],
    start_worker: Callable[..., WorkerProcess],
) -> None:
    """What a worker publishes for a click is watched, at the position of that click."""
    settings = settings_for()
    shop = open_shop(settings)
    with ListReader(settings, ["u1"]) as reader:
        start_worker(settings).wait_ready()
        shop.send("u2", "i1", MADE_AT)
        shop.send("u1", "i1", MADE_AT + 1)
        shop.flush()
        arrived = next(reader.arrivals())
    assert isinstance(arrived, Arrival)
    assert arrived.recommendations is not None
    assert arrived.recommendations.positions[shop.topics["click"]][0] == arrived.partition
    assert arrived.recommendations.event_time == MADE_AT + 1
