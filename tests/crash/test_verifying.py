"""What compares can fail: every kind of loss, doubling and disorder is reported with what and where."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from models.catalog import item_key
from state import UserState
from streams.events import ACTIONS, RecommendationList
from streams.learned import digests
from streams.recommender import Recommender
from streams.settings import Settings
from tests.crash import verifying
from tests.crash.oracle import Expected, Position, Source, expect
from tests.crash.reading import Changelog, DeadLetter, Learned, Listed
from tests.crash.stream import GOOD
from tests.crash.verifying import Difference

NOW_MS = 1_700_000_000_000


@dataclass
class World:
    """A small log, and what a faultless worker would have made of it."""

    log: list[Source]
    users: dict[str, UserState]
    dead_letters: list[tuple[Position, DeadLetter]]
    lists: dict[str, Listed]
    taught: dict[str, list[Position]]

    def expected(self) -> Expected:
        """Return the oracle's word."""
        return expect(self.log, 50)

    def differences(self) -> list[Difference]:
        """Return everything that is not as it must be."""
        expected = self.expected()
        return [
            *verifying.check_users(expected, self.users),
            *verifying.check_dead_letters(expected, self.dead_letters),
            *verifying.check_lists(expected, self.lists),
            *verifying.check_examples(expected, self.taught),
        ]


@pytest.fixture
def world() -> World:
    """Give a world of three users, six events and a bad record."""
    made = World([], {}, [], {}, {"w1": []})
    for offset in range(6):
        user_id, item = f"u{offset % 3}", f"i{offset % 2}"
        message = {"user_id": user_id, "item_id": item, "timestamp": NOW_MS - offset}
        value = json.dumps(message).encode()
        made.log.append(Source("clicks", 1, offset, NOW_MS, user_id.encode(), value, GOOD))
        made.users.setdefault(user_id, UserState()).insert(
            item_key=item_key(item),
            action_code=ACTIONS.index("click"),
            time_ms=NOW_MS - offset,
            topic="clicks",
            offset=offset,
            line=0,
            event_id=None,
            history_length=50,
        )
        made.lists[user_id] = Listed(newest=a_list(user_id, offset), lists=2)
        made.taught["w1"].append(("clicks", 1, offset))
    made.log.append(Source("clicks", 1, 6, NOW_MS, b"u1", b"{", "json"))
    made.dead_letters.append((("clicks", 1, 6), DeadLetter("json", b"u1", b"{")))
    return made


def a_list(user_id: str, offset: int) -> RecommendationList:
    """Return a list of a user at an offset."""
    return RecommendationList(
        user_id=user_id,
        made_at=NOW_MS,
        event_time=NOW_MS,
        model_version="w1:1",
        positions={"clicks": (1, offset)},
        items=[],
    )


def lose_an_event(world: World) -> None:
    """As if the last event had never been applied."""
    world.log.insert(6, replace(world.log[5], offset=6))


def apply_twice(world: World) -> None:
    """As if an event were in its user's sequence twice."""
    world.users["u0"].insert(
        item_key=item_key("i0"),
        action_code=0,
        time_ms=NOW_MS,
        topic="clicks",
        offset=0,
        line=0,
        event_id=None,
        history_length=50,
    )


def forget_a_user(world: World) -> None:
    """As if a user had been lost with a disk."""
    del world.users["u2"]


def invent_a_user(world: World) -> None:
    """As if a bad record had made a user."""
    world.users["nobody"] = UserState()


def disorder(world: World) -> None:
    """As if a sequence were in the order of arrival."""
    state = world.users["u0"]
    for name in ("times_ms", "offsets", "item_keys"):
        setattr(state, name, getattr(state, name)[::-1])


def lose_a_dead_letter(world: World) -> None:
    """As if a bad record had disappeared."""
    world.dead_letters.clear()


def refuse_twice(world: World) -> None:
    """As if a bad record had been refused before a crash and after it."""
    world.dead_letters *= 2


def refuse_a_good_one(world: World) -> None:
    """As if a crash had made a good record a dead letter."""
    world.dead_letters.append((("clicks", 1, 0), DeadLetter("defect", b"u0", b"")))


def refuse_for_another_reason(world: World) -> None:
    """As if the wrong field were to blame."""
    world.dead_letters[0] = (("clicks", 1, 6), DeadLetter("size", b"u1", b"{"))


def change_refused_bytes(world: World) -> None:
    """As if a dead letter were not what was refused."""
    world.dead_letters[0] = (("clicks", 1, 6), DeadLetter("json", b"u1", b"}"))


def list_stale(world: World) -> None:
    """As if the list of a user's newest event had never come."""
    world.lists["u1"].newest = a_list("u1", 1)


def list_twice(world: World) -> None:
    """As if a list had been published again after a crash."""
    world.lists["u1"].repeated.append({"clicks": (1, 4)})


def list_backwards(world: World) -> None:
    """As if a zombie had published an older list."""
    world.lists["u1"].backwards.append({"clicks": (1, 1)})


def teach_twice(world: World) -> None:
    """As if two workers had taught the same event."""
    world.taught["w2"] = world.taught["w1"][:1]


def teach_nothing(world: World) -> None:
    """As if an event had been applied and not taught."""
    world.taught["w1"].pop()


def teach_what_is_bad(world: World) -> None:
    """As if a refused record had been counted."""
    world.taught["w1"].append(("clicks", 1, 6))


HARM: dict[Callable[[World], None], str] = {
    lose_an_event: "events lost",
    apply_twice: "events too much",
    forget_a_user: "user",
    invent_a_user: "user",
    disorder: "order",
    lose_a_dead_letter: "dead letter",
    refuse_twice: "dead letter",
    refuse_a_good_one: "dead letter",
    refuse_for_another_reason: "reason",
    change_refused_bytes: "refused bytes",
    list_stale: "newest list",
    list_twice: "lists",
    list_backwards: "lists",
    teach_twice: "taught",
    teach_nothing: "taught",
    teach_what_is_bad: "taught",
}


def test_a_faultless_world_has_no_differences(world: World) -> None:
    """Nothing is reported where all is as it must be."""
    assert world.differences() == []


@pytest.mark.parametrize("harm", HARM, ids=lambda harm: harm.__name__)
def test_harm_is_reported(world: World, harm: Callable[[World], None]) -> None:
    """Whatever goes wrong is reported by its name."""
    harm(world)
    assert HARM[harm] in {difference.what for difference in world.differences()}


def test_offsets_that_did_not_reach_the_end() -> None:
    """A partition that is stuck, or that nobody ever had, is reported with its end."""
    ends = {("clicks", 0): 5, ("clicks", 1): 7}
    assert list(verifying.check_offsets("committed offset", ends, ends)) == []
    found = list(verifying.check_offsets("committed offset", ends, {("clicks", 0): 4}))
    assert [(each.where, each.expected, each.found) for each in found] == [
        ("clicks partition 0", 5, 4),
        ("clicks partition 1", 7, None),
    ]


def test_the_digest_is_a_workers_own() -> None:
    """The oracle's digest of counters is that of a worker which counted the same events."""
    recommender = Recommender(Settings())
    for item in ("i1", "i2", "i1"):
        recommender.counts.correct(recommender.catalog.admit(item), 1)
    occurrences = {item_key("i1"): 2, item_key("i2"): 1}
    assert verifying.counters_digest(occurrences) == digests(recommender)["counters"]
    assert verifying.counters_digest(occurrences | {item_key("i2"): 2}) != digests(recommender)["counters"]


def test_counters_that_differ() -> None:
    """An item counted twice or never is named with both numbers."""
    found = list(verifying.check_occurrences("w", {1: 1, 2: 1, 3: 1}, {1: 2, 3: 1}))
    assert [(each.where, each.expected, each.found) for each in found] == [
        (f"item key {1:016x}", 1, 2),
        (f"item key {2:016x}", 1, 0),
    ]


def test_a_worker_whose_stores_differ() -> None:
    """A store that is not what the changelog says, a partition of two owners and one of none are reported."""
    changelog = Changelog(raw={0: {b"u1": b"state"}, 1: {}})
    right = {
        "partitions": [{"partition": 0}],
        "digests": {"counters": "c", "users": verifying.users_digest(changelog, [0])},
    }
    other = {
        "partitions": [{"partition": 1}],
        "digests": {"counters": "c", "users": verifying.users_digest(changelog, [1])},
    }
    assert list(verifying.check_workers({"a": right, "b": other}, changelog, "c", 2)) == []
    stale = right | {"digests": {"counters": "d", "users": "e"}}
    found = {each.what for each in verifying.check_workers({"a": right, "b": stale}, changelog, "c", 2)}
    assert found == {"counters' digest", "stores", "owners of partition"}
    assert [each.what for each in verifying.check_workers({"a": right, "b": {}}, changelog, "c", 1)] == [
        "worker"
    ]


def test_learning_that_does_not_add_up() -> None:
    """A ranker that took too many steps, or that missed events without a word, is reported."""
    learned = Learned(marks={}, occurrences={}, events=160, steps=10)
    assert list(verifying.check_learning("w", 170, 10, learned)) == []
    assert [each.what for each in verifying.check_learning("w", 171, 10, learned)] == ["learned or skipped"]
    learned.steps = 11
    assert [each.what for each in verifying.check_learning("w", 170, 10, learned)] == ["learner steps"]
