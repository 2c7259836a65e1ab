"""Following a topic of our own, and the item ids in it, without a broker."""

import asyncio
from collections.abc import Callable, Sequence

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import OffsetOutOfRangeError
from aiokafka.structs import ConsumerRecord

from models.catalog import item_key
from streams import following
from streams.following import LogFollower
from streams.item_ids import ItemIds, encode_key
from streams.metrics import Metrics
from streams.recommender import Recommender
from streams.replication import Replication
from streams.settings import Settings
from tests.streams.fakes import raw

TOPIC = "group-item-ids"


class FakeConsumer:
    """A consumer of logs in memory; `errors` are raised by the next fetches."""

    def __init__(self, logs: dict[int, list[ConsumerRecord]]) -> None:
        self.logs = logs
        self.begin = dict.fromkeys(logs, 0)
        self.at: dict[int, int] = {}
        self.errors: list[Exception] = []
        self.extra = 0  # offsets behind the last record: the markers of transactions

    async def start(self) -> None:
        """Do nothing."""

    async def stop(self) -> None:
        """Do nothing."""

    def assign(self, tps: Sequence[TopicPartition]) -> None:
        """Do nothing."""

    async def beginning_offsets(self, tps: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        """Return where the logs begin."""
        return {tp: self.begin[tp.partition] for tp in tps}

    async def end_offsets(self, tps: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        """Return where the logs end."""
        return {tp: len(self.logs[tp.partition]) + self.extra for tp in tps}

    def seek(self, tp: TopicPartition, offset: int) -> None:
        """Go somewhere."""
        self.at[tp.partition] = offset

    async def position(self, tp: TopicPartition) -> int:
        """Return where it stands; the markers at the end are passed at once."""
        at = self.at[tp.partition]
        return at + self.extra if at == len(self.logs[tp.partition]) else at

    async def getmany(
        self, *tps: TopicPartition, timeout_ms: int, max_records: int
    ) -> dict[TopicPartition, list[ConsumerRecord]]:
        """Return up to seven records of each log."""
        await asyncio.sleep(0.001)
        fetched = {}
        for tp in tps:
            start = self.at[tp.partition]
            if batch := self.logs[tp.partition][start : start + 7]:
                fetched[tp] = batch
                self.at[tp.partition] = start + len(batch)
        if self.errors:
            raise self.errors.pop(0)
        return fetched


Follow = Callable[..., tuple[LogFollower, FakeConsumer]]


def log_of(size: int) -> list[ConsumerRecord]:
    """Return a log of so many records."""
    return [raw(TOPIC, offset, None, b"%d" % offset) for offset in range(size)]


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[int, list[ConsumerRecord]]], FakeConsumer]:
    """Give a function that puts a fake consumer of these logs in the place of aiokafka's."""

    def make(logs: dict[int, list[ConsumerRecord]]) -> FakeConsumer:
        consumer = FakeConsumer(logs)
        monkeypatch.setattr(following, "AIOKafkaConsumer", lambda **_: consumer)
        monkeypatch.setattr(following, "RETRY_SECONDS", 0.0)
        return consumer

    return make


Fake = Callable[[dict[int, list[ConsumerRecord]]], FakeConsumer]


async def test_everything_is_handed_over_once_and_in_order(fake: Fake) -> None:
    """Catching up waits for all that is in the log then; what comes later is followed."""
    consumer, got = fake({0: log_of(20)}), []

    async def take(records: Sequence[ConsumerRecord]) -> None:
        got.extend(record.offset for record in records)

    consumer.extra = 1
    follower = LogFollower(TOPIC, range(1), [], take)
    await follower.start()
    async with asyncio.timeout(5):
        await follower.catch_up()
        assert got == list(range(20))
        consumer.logs[0] = log_of(30)
        await follower.catch_up()
    assert got == list(range(30))
    await follower.stop()


async def test_what_could_not_be_taken_is_read_again(fake: Fake) -> None:
    """A failure of the fetch or of who takes loses nothing: it goes on where it had got to."""
    consumer, got = fake({0: log_of(20), 1: log_of(9)}), []
    failures = [ValueError("not now"), ValueError("nor now")]

    async def take(records: Sequence[ConsumerRecord]) -> None:
        if failures and records[0].offset >= 7:
            raise failures.pop()
        got.extend(record.offset for record in records)

    consumer.errors = [ConnectionError("away")]
    follower = LogFollower(TOPIC, range(2), [], take)
    await follower.start()
    async with asyncio.timeout(5):
        await follower.catch_up()
    assert sorted(got) == sorted([*range(20), *range(9)])
    await follower.stop()


async def test_positions_beyond_the_end_begin_anew(fake: Fake) -> None:
    """A topic that was made anew is read from its beginning; else reading goes on at the position."""
    got: list[int] = []

    async def take(records: Sequence[ConsumerRecord]) -> None:
        got.extend(record.offset for record in records)

    for position, expected in ((8, [8, 9]), (11, list(range(10)))):
        fake({0: log_of(10)})
        follower = LogFollower(TOPIC, range(1), [], take, {0: position})
        await follower.start()
        async with asyncio.timeout(5):
            await follower.catch_up()
        await follower.stop()
        assert got == expected
        got.clear()


async def test_what_retention_took_is_told_and_passed_over(fake: Fake) -> None:
    """A reader that was overtaken goes on at the log's beginning, and somebody hears how much it missed."""
    consumer, got, missed = fake({0: log_of(20)}), [], []

    async def take(records: Sequence[ConsumerRecord]) -> None:
        got.extend(record.offset for record in records)

    follower = LogFollower(TOPIC, range(1), [], take, {0: 3}, missed.append)
    await follower.start()
    consumer.begin[0] = 15
    consumer.errors = [OffsetOutOfRangeError({TopicPartition(TOPIC, 0): 3})]
    async with asyncio.timeout(5):
        await follower.catch_up()
    assert got == [15, 16, 17, 18, 19]
    assert missed == [12]
    await follower.stop()


async def test_examples_positions_pass_the_marks_of_transactions(fake: Fake) -> None:
    """Else a worker would be refused once retention has taken a log of which it had counted everything."""
    consumer = fake({0: log_of(4)})
    consumer.extra = 1

    async def at_once(call: Callable[..., object], *arguments: object) -> object:
        return call(*arguments)

    recommender, metrics = Recommender(Settings(device="cpu")), Metrics()
    recommender.examples_positions = {0: 99}  # of a log that was made anew
    replication = Replication(TOPIC, 1, [], recommender, metrics, at_once)
    async with asyncio.timeout(5):
        await replication.start()
    assert recommender.examples_positions == {0: 5}
    assert metrics.examples_missed._value.get() == 4  # all four were junk, and read
    await replication.stop()


async def test_only_the_id_of_its_own_key_is_an_item_id(fake: Fake) -> None:
    """What somebody else wrote into the topic is passed over, and the rest is learned."""

    def said(offset: int, key: bytes | None, value: bytes | None) -> ConsumerRecord:
        return raw(TOPIC, offset, key, value)

    good = [(encode_key(item_key(item)), item.encode()) for item in ("a", "ü")]
    odd = [(None, b"a"), (good[0][0], None), (good[0][0], b"b"), (b"short", b"a"), (good[1][0], b"\xff")]
    fake({0: [said(offset, *each) for offset, each in enumerate([good[0], *odd, good[1]])]})
    learned: list[tuple[int, str]] = []

    async def learn(ids: Sequence[tuple[int, str]]) -> None:
        learned.extend(ids)

    item_ids = ItemIds(TOPIC, [], learn)
    async with asyncio.timeout(5):
        await item_ids.start()
    assert learned == [(item_key("a"), "a"), (item_key("ü"), "ü")]
    await item_ids.stop()
