"""The items topic: read whole, in portions, what is gone from it is removed, what is new is timed."""

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import pytest
from aiokafka.structs import ConsumerRecord

from models.checkpoint import decode_checkpoint, encode_checkpoint
from streams import catalogue, following
from streams.catalogue import Catalogue
from streams.learned import restore, snapshot
from streams.metrics import Metrics
from streams.recommender import Recommender
from streams.settings import Settings
from tests.streams.fakes import raw
from tests.streams.test_following import FakeConsumer

TOPIC = "items"
SETTINGS = Settings(device="cpu", encoder="off")


def said(offset: int, item_id: str, value: Mapping[str, Any] | bytes | None) -> ConsumerRecord:
    """Return a record of the items topic."""
    if isinstance(value, Mapping):
        value = json.dumps({"item_id": item_id, **value}).encode()
    return raw(TOPIC, offset, item_id.encode(), value)


def log_of(*item_ids: str) -> list[ConsumerRecord]:
    """Return a log in which these items are listed."""
    return [said(offset, item_id, {"title": item_id}) for offset, item_id in enumerate(item_ids)]


def known(recommender: Recommender) -> set[str]:
    """Return the items that may be recommended."""
    catalog = recommender.catalog
    hidden = catalog.items(has_exclusions=False).hidden
    return {str(catalog.item_id(row)) for row in range(len(catalog)) if not hidden[row]}


class Bench:
    """A catalogue that follows a fake topic, and its recommender, which went on from a checkpoint."""

    def __init__(self, consumer: FakeConsumer, recommender: Recommender) -> None:
        self.consumer, self.recommender, self.metrics = consumer, recommender, Metrics()
        self.calls = 0
        self.told = 0  # how often that items were removed
        self.catalogue = Catalogue(
            TOPIC, len(consumer.logs), [], recommender, self.metrics, self._in_model_thread, self._count_told
        )

    def _count_told(self) -> None:
        self.told += 1

    async def _in_model_thread(self, call: Callable[..., Any], *arguments: object) -> Any:  # noqa: ANN401
        self.calls += 1
        return call(*arguments)

    async def follow(self) -> None:
        """Take in what the topic has now."""
        async with asyncio.timeout(5):
            await self.catalogue._follower.catch_up()

    @property
    def timed(self) -> float | None:
        """How many items were timed."""
        return self.metrics.registry.get_sample_value("freshet_item_to_recommendable_seconds_count")


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Bench]:
    """Give a function that makes a catalogue of these logs, for a recommender that had listed some items."""

    def make(
        logs: dict[int, list[ConsumerRecord]],
        listed: tuple[str, ...] = (),
        settings: Settings = SETTINGS,
        is_older: bool = False,
    ) -> Bench:
        consumer = FakeConsumer(logs)
        monkeypatch.setattr(following, "AIOKafkaConsumer", lambda **_: consumer)
        before = Recommender(settings)
        for record in log_of(*listed):
            before.assortment.enlist(catalogue.decode_item(record.key, record.value))
        recommender = Recommender(settings)
        arrays, facts = decode_checkpoint(encode_checkpoint(*snapshot(before)))
        if is_older:
            del arrays["catalog.listed"]
        restore(recommender, arrays, facts)
        return Bench(consumer, recommender)

    return make


Started = Callable[..., Bench]


async def test_what_the_topic_has_no_more_is_removed_after_a_restart(started: Started) -> None:
    """A removal that was compacted away is made good; what is listed, or refused by now, stays."""
    logs = {0: [*log_of("kept"), said(1, "refused", b"no JSON")], 1: log_of("new")}
    bench = started(logs, listed=("kept", "refused", "gone"))
    assert known(bench.recommender) == {"kept", "refused", "gone"}
    await bench.catalogue.start()
    assert known(bench.recommender) == {"kept", "refused", "new"}
    assert bench.recommender.assortment.content is not None
    assert len(bench.recommender.assortment.content.listed) == 3
    bench.consumer.logs[0].append(said(2, "gone", {"title": "back"}))
    await bench.follow()
    assert "gone" in known(bench.recommender)
    await bench.catalogue.stop()


async def test_a_removal_that_was_compacted_away_is_made_good_whatever_the_model_learns(
    started: Started,
) -> None:
    """Also where it learns nothing from items, and after a checkpoint in which only the content has them."""
    plain = msgspec.structs.replace(SETTINGS, content=False)
    for settings, is_older in ((plain, False), (SETTINGS, True)):
        bench = started({0: log_of("kept")}, ("kept", "gone"), settings, is_older)
        assert known(bench.recommender) == {"kept", "gone"}
        await bench.catalogue.start()
        assert known(bench.recommender) == {"kept"}
        await bench.catalogue.stop()


async def test_an_item_that_was_listed_and_removed_in_the_log_is_removed(started: Started) -> None:
    """The last word on an item holds, however often it came and went before."""
    log = [*log_of("a", "b"), said(2, "a", None), said(3, "b", None), said(4, "b", {})]
    bench = started({0: log}, listed=("a", "b", "c"))
    await bench.catalogue.start()
    assert known(bench.recommender) == {"b"}
    await bench.catalogue.stop()


async def test_an_empty_topic_or_one_that_ages_removes_nothing(started: Started) -> None:
    """Where the topic does not say what is listed, what was listed stays."""
    for begin, log in ((0, []), (2, log_of("x", "y", "a"))):
        bench = started({0: log}, listed=("a", "b"))
        bench.consumer.begin[0] = begin
        await bench.catalogue.start()
        assert known(bench.recommender) == {"a", "b"}
        await bench.catalogue.stop()


async def test_nothing_is_removed_while_the_topic_cannot_be_read(
    started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reading that fails on its way leaves everything, and goes on later."""
    monkeypatch.setattr(following, "RETRY_SECONDS", 0.0)
    bench = started({0: log_of(*"abcdefghij")}, listed=("j", "gone"))
    bench.consumer.errors = [ConnectionError("away")] * 10
    starting = asyncio.create_task(bench.catalogue.start())
    while bench.consumer.errors:
        assert "gone" in known(bench.recommender)
        await asyncio.sleep(0.001)
    async with asyncio.timeout(5):
        await starting
    assert known(bench.recommender) == set("abcdefghij")
    await bench.catalogue.stop()


async def test_a_large_catalogue_leaves_the_models_thread_now_and_then(
    started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was fetched at once is taken in by portions of bounded time, and none of it is lost."""
    monkeypatch.setattr(catalogue, "HOLD_SECONDS", 0.0)
    names = [f"i{number}" for number in range(20)]
    bench = started({0: log_of(*names)})
    await bench.catalogue.start()
    assert known(bench.recommender) == set(names)
    assert bench.calls >= len(names)
    await bench.catalogue.stop()


async def test_only_what_comes_while_the_topic_is_followed_is_timed(started: Started) -> None:
    """An item of before the start, a removal and a refused record are no observations; a new item is one."""
    bench = started({0: log_of("a", "b")})
    await bench.catalogue.start()
    assert bench.timed == 0
    bench.consumer.logs[0] += [said(2, "c", {}), said(3, "a", None), said(4, "b", b"no JSON")]
    await bench.follow()
    assert bench.timed == 1
    await bench.catalogue.stop()


async def test_removals_are_told_while_the_topic_is_followed(started: Started) -> None:
    """Whoever has published lists hears of removals, once a portion, and of nothing else."""
    bench = started({0: [*log_of("a", "b", "c"), said(3, "c", None)]}, listed=("gone",))
    await bench.catalogue.start()
    assert bench.told == 0
    bench.consumer.logs[0] += [said(4, "d", {}), said(5, "e", {"title": "E"})]
    await bench.follow()
    assert bench.told == 0
    bench.consumer.logs[0] += [said(6, "a", None), said(7, "b", None)]
    await bench.follow()
    assert bench.told == 1
    await bench.catalogue.stop()


async def test_a_changed_title_is_the_one_of_the_next_list(started: Started) -> None:
    """From its message on an item has the title that it says, or none."""
    bench = started({0: log_of("a")})
    await bench.catalogue.start()
    catalog = bench.recommender.catalog
    row = catalog.admit("a")
    for offset, title in enumerate(("another", None, "a third"), start=1):
        bench.consumer.logs[0].append(said(offset, "a", {"title": title}))
        await bench.follow()
        assert (catalog.title(row) or None) == title
    await bench.catalogue.stop()
