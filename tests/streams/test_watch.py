"""Watching lists: what arrives, and what moved in it."""

from collections.abc import Callable
from itertools import islice
from typing import TYPE_CHECKING

import pytest

from streams import watching
from streams.connection import producer
from streams.settings import Settings
from streams.watching import Arrival, ListReader, NoList, moved
from tests.streams.published import MADE_AT, list_of
from tests.streams.running import Shop, WorkerProcess

if TYPE_CHECKING:
    from kafka import KafkaProducer


@pytest.mark.parametrize(
    ("before", "now", "how"), [(None, 1, "new"), (3, 1, "up"), (1, 2, "down"), (2, 2, "same")]
)
def test_a_move_is_told_by_two_places(before: int | None, now: int, how: str) -> None:
    """An item moves up towards the first place, and is new where it had none."""
    assert moved(before, now) == how


def test_a_list_says_what_moved_against_the_one_before(
    watched: Settings, publish: Callable[..., None]
) -> None:
    """The list before is the same user's, also one from before the watch began; of none nothing is said."""
    publish(("u1", list_of("u1", "a", "b", "tc")))
    with ListReader(watched) as reader:
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
    watched: Settings, publish: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What lies further from the end than is read back is not known, and no user more is remembered."""
    monkeypatch.setattr(watching, "READ_BACK_RECORDS", 2)
    monkeypatch.setattr(watching, "REMEMBERED_USERS", 2)
    publish(*((user_id, list_of(user_id, "a")) for user_id in ("u1", "u2", "u3")))
    with ListReader(watched) as reader:
        publish(*((user_id, list_of(user_id, "a")) for user_id in ("u1", "u3", "u2")))
        known = [
            isinstance(each, Arrival) and each.before is not None for each in islice(reader.arrivals(), 3)
        ]
    assert known == [False, True, False]


def test_an_erased_user_begins_anew(watched: Settings, publish: Callable[..., None]) -> None:
    """A tombstone is the end of the list before: all of it is gone, and the next list is all new."""
    with ListReader(watched) as reader:
        publish(("u1", list_of("u1", "a")), ("u1", None), ("u1", list_of("u1", "a")))
        _, erased, again = islice(reader.arrivals(), 3)
    assert isinstance(erased, Arrival)
    assert erased.recommendations is None
    assert list(erased.gone) == ["a"]
    assert isinstance(again, Arrival)
    assert again.moved(1, "a") == "new"


def test_what_is_no_list_is_passed_over(watched: Settings, publish: Callable[..., None]) -> None:
    """Each is told with its position and why, and the lists around it arrive."""
    with ListReader(watched) as reader:
        publish(("u1", list_of("u1")), ("u1", b"{"), ("u1", list_of("u2")), ("u1", list_of("u1")))
        arrived = list(islice(reader.arrivals(), 4))
    assert [type(each) for each in arrived] == [Arrival, NoList, NoList, Arrival]
    assert [(each.partition, each.offset) for each in arrived] == [(2, 0), (2, 1), (2, 2), (2, 3)]
    assert isinstance(arrived[1], NoList)
    assert "expected JSON" in arrived[1].detail
    assert isinstance(arrived[2], NoList)
    assert "'u2', found 'u1'" in arrived[2].detail


def test_only_the_users_named_arrive(watched: Settings, publish: Callable[..., None]) -> None:
    """Of other users neither lists nor what is no list arrive."""
    with ListReader(watched, ["u1", "ü3"]) as reader:
        publish(("u2", list_of("u2")), ("ü3", list_of("ü3")), ("u2", b"{"), ("u1", list_of("u1")))
        arrived = list(islice(reader.arrivals(), 2))
    assert [each.user_id for each in arrived if isinstance(each, Arrival)] == ["ü3", "u1"]


def test_what_a_transaction_took_back_never_arrives(watched: Settings, publish: Callable[..., None]) -> None:
    """A list that was aborted is not shown: the next committed one is the first."""
    with ListReader(watched) as reader:
        aborting: KafkaProducer
        with producer(watched, transactional_id=watched.group) as aborting:
            aborting.init_transactions()
            aborting.begin_transaction()
            aborting.send(watched.topics.recommendations, key=b"u1", value=list_of("u1", "a"), partition=2)
            aborting.flush()
            aborting.abort_transaction()
        publish(("u1", list_of("u1", "b")))
        arrived = next(reader.arrivals())
    assert isinstance(arrived, Arrival)
    assert arrived.recommendations is not None
    assert [item.item_id for item in arrived.recommendations.items] == ["b"]


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
