"""Lists that are made again when an item is removed: a lane without a broker."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence

import pytest
from aiokafka import TopicPartition
from aiokafka.structs import ConsumerRecord

from state.overlay import User
from streams import following, lane, pacing, republishing
from streams.events import RecommendationList, decode_list
from streams.partition import Outgoing
from tests.streams.fakes import CLICKS, ERASURES, chunk, raw, record
from tests.streams.lane_bench import Bench
from tests.streams.test_following import FakeConsumer

LISTS = "recommendations"
USERS = 40
Start = Callable[..., Bench]


def newest(bench: Bench) -> dict[str, RecommendationList | None]:
    """Return everybody's newest list, None where it was taken back."""
    return {
        (key or b"").decode(): None if value is None else decode_list(value)
        for topic, key, value, _ in bench.partition.sent
        if topic == LISTS
    }


def who_has(bench: Bench, item_id: str) -> set[str]:
    """Return the users in whose newest list an item is."""
    return {
        user_id
        for user_id, found in newest(bench).items()
        if found and item_id in {item.item_id for item in found.items}
    }


def log_of(bench: Bench) -> list[ConsumerRecord]:
    """Return what the lane published as a log."""
    rows = [(key, value) for topic, key, value, _ in bench.partition.sent if topic == LISTS]
    return [raw(LISTS, offset, key, value) for offset, (key, value) in enumerate(rows)]


async def remove(bench: Bench, *item_ids: str) -> None:
    """Remove items as the catalogue does."""
    for item_id in item_ids:
        bench.thread.submit(bench.recommender.assortment.remove, item_id).result()
    assert bench.lane.republishing is not None
    bench.lane.republishing.look_again()


async def settled(bench: Bench) -> None:
    """Let the lane work until no list waits."""
    again = bench.lane.republishing
    assert again is not None
    await bench.wait(lambda: again.due_in(is_calm=True, made=0) is None and bench.lane.transaction is None)


@pytest.fixture
async def start(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Start]:
    """Give a function that starts a lane whose topic of lists has these records."""
    monkeypatch.setattr(lane, "RETRY_SECONDS", 0.0)
    monkeypatch.setattr(pacing, "COMMIT_SECONDS", 0.0)
    monkeypatch.setattr(republishing, "RETRY_SECONDS", 0.0)
    monkeypatch.setattr(following, "RETRY_SECONDS", 0.0)
    started: list[Bench] = []

    def make(log: Sequence[ConsumerRecord] = (), most_lists: int = 1000) -> tuple[Bench, FakeConsumer]:
        consumer = FakeConsumer({0: list(log)})
        monkeypatch.setattr(following, "AIOKafkaConsumer", lambda **_: consumer)
        bench = Bench(most_lists)
        started.append(bench)
        bench.lane.start()
        bench.lane.begin(1)
        return bench, consumer

    yield make
    for bench in started:
        await bench.lane.close()
        bench.thread.shutdown()


async def shopped(bench: Bench) -> None:
    """Let users click, each on items of a fourth of their own."""
    clicks = [(user, 4 * ((user // 4 + step) % 14) + user % 4) for step in range(4) for user in range(USERS)]
    records = [record(offset, f"u{user}", f"i{item}") for offset, (user, item) in enumerate(clicks)]
    bench.lane.offer(chunk(records))
    await bench.idle()
    await settled(bench)


async def test_a_removal_is_followed_by_lists_of_users_who_do_nothing(start: Start) -> None:
    """Whoever has the item gets a list without it, marked, at the same positions; nothing else moves."""
    bench, _ = start()
    await shopped(bench)
    before, states, offsets = newest(bench), dict(bench.partition.truth.scan()), bench.partition.next_offsets
    sent = len(bench.partition.sent)
    having = who_has(bench, "i4")
    assert 0 < len(having) < USERS
    acknowledged = bench.metric("freshet_event_to_list_seconds_count")
    await remove(bench, "i4")
    await settled(bench)
    assert {(topic, (key or b"").decode()) for topic, key, _, _ in bench.partition.sent[sent:]} == {
        (LISTS, user_id) for user_id in having
    }
    assert len(bench.partition.sent) == sent + len(having)
    assert not who_has(bench, "i4")
    for user_id, found in newest(bench).items():
        old = before[user_id]
        assert found is not None
        assert old is not None
        assert found.republished == (user_id in having)
        assert (found.positions, found.event_time) == (old.positions, old.event_time)
        assert found.items
    assert dict(bench.partition.truth.scan()) == states
    assert bench.partition.next_offsets == offsets == {CLICKS: 4 * USERS}
    assert bench.source.committed == {CLICKS: 4 * USERS}
    assert bench.metric("freshet_republished_lists_total") == len(having)
    assert bench.metric("freshet_lists_total") == len(log_of(bench))
    assert bench.metric("freshet_event_to_list_seconds_count") == acknowledged


async def test_without_the_setting_lists_stay_until_their_users_act(bench: Bench) -> None:
    """By default a removal publishes nothing; the user's next list follows it."""
    bench.lane.offer(chunk([record(0, "u", "a"), record(1, "v", "b")]))
    await bench.idle()
    having = who_has(bench, "a")
    sent = len(bench.partition.sent)
    bench.thread.submit(bench.recommender.assortment.remove, "a").result()
    await asyncio.sleep(0.02)
    assert len(bench.partition.sent) == sent
    assert having == who_has(bench, "a") != set()
    bench.lane.offer(chunk([record(2, user_id, "b") for user_id in sorted(having)][:1]))
    await bench.idle()
    assert who_has(bench, "a") < having


async def test_transactions_stay_small_and_events_go_first(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A transaction has few lists that nobody asked for, and an event does not wait for all the others."""
    monkeypatch.setattr(republishing, "PORTION_LISTS", 2)
    monkeypatch.setattr(republishing, "MOST_LISTS", 6)
    bench, _ = start()
    await shopped(bench)
    again, commit, sizes = bench.lane.republishing, bench.partition.commit, []
    gone = [f"i{item}" for item in range(12)]
    having = set().union(*(who_has(bench, item_id) for item_id in gone))
    assert again is not None
    assert len(having) > 20

    async def counted(outgoing: Outgoing, *rest: object) -> None:
        sizes.append(len(outgoing.rows.get((LISTS, 0), [])))
        if len(sizes) == 1:
            bench.lane.offer(chunk([record(4 * USERS, "late", "i1")]))
        await commit(outgoing, *rest)

    monkeypatch.setattr(bench.partition, "commit", counted)
    await remove(bench, *gone)
    await bench.wait(lambda: "late" in newest(bench))
    assert again.waiting > 6
    await settled(bench)
    assert max(sizes) <= 6 + 2 + 1
    assert not any(who_has(bench, item_id) for item_id in gone)


async def test_while_a_partition_is_behind_little_is_made(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One portion a second beside a backlog, so that it neither waits nor starves; afterwards the rest."""
    monkeypatch.setattr(republishing, "PORTION_LISTS", 2)
    monkeypatch.setattr(republishing, "BUSY_SECONDS", 1000.0)
    bench, _ = start()
    await shopped(bench)
    again = bench.lane.republishing
    assert again is not None
    before = len(who_has(bench, "i4"))
    bench.turns.ask(99, 0, 0.0, lambda: None)
    again._last = float("-inf")
    await remove(bench, "i4")
    await bench.wait(lambda: bench.metric("freshet_republished_lists_total") > 0)
    await asyncio.sleep(0.05)
    assert len(who_has(bench, "i4")) == before - 2
    bench.turns.leave(99)
    bench.lane.offer(chunk([record(4 * USERS, "u0", "i1")]))
    await settled(bench)
    assert not who_has(bench, "i4")


@pytest.mark.parametrize("point", ["send", "write", "open"])
async def test_a_failure_loses_no_list(start: Start, point: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever the broker or the disk fails, every list loses the item, and no event counts twice."""
    monkeypatch.setattr(republishing, "PORTION_LISTS", 3)
    bench, consumer = start()
    await shopped(bench)
    consumer.logs[0] = log_of(bench)
    bench.partition.fail(point, *(ConnectionError("away") for _ in range(2)))
    if point == "open":
        bench.partition.fail("send", ConnectionError("away"))
    await remove(bench, "i4")
    await settled(bench)
    await bench.wait(lambda: not who_has(bench, "i4"))
    assert bench.metric("freshet_events_total") == 4 * USERS
    assert all(len(bench.partition.sequence(f"u{user}")) == 4 for user in range(USERS))


async def test_lists_of_before_the_opening_are_read_and_made_again(start: Start) -> None:
    """It does not matter who published a list, nor whether anybody ran when the item was removed."""
    bench, consumer = start()
    await shopped(bench)
    bench.source.rewind()
    bench.lane.park()
    await bench.wait(lambda: not bench.partition.is_open)
    await remove(bench, "i4")
    having, sent = who_has(bench, "i4"), len(bench.partition.sent)
    strange = [raw(LISTS, 0, b"stranger", b"{}"), raw(LISTS, 0, b"\xff", b"x"), raw(LISTS, 0, None, None)]
    consumer.logs[0] = [*strange, *log_of(bench)]
    consumer.errors = [ConnectionError("away")] * 3
    bench.lane.begin(2)
    await bench.wait(lambda: not who_has(bench, "i4"))
    assert len(bench.partition.sent) == sent + len(having)
    await settled(bench)
    await remove(bench, "i5")
    await bench.wait(lambda: not who_has(bench, "i5"))


async def test_what_is_published_meanwhile_is_newer_than_what_is_read(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the topic is being read, an older list does not take the place of a newer, nor of an erasure."""
    bench, consumer = start()
    await shopped(bench)
    bench.source.rewind()
    bench.lane.park()
    await bench.wait(lambda: not bench.partition.is_open)
    consumer.logs[0] = log_of(bench)
    again, gate = bench.lane.republishing, asyncio.Event()
    assert again is not None
    fetch = consumer.getmany

    async def held(*tps: object, **options: int) -> object:
        await gate.wait()
        return await fetch(*tps, **options)

    monkeypatch.setattr(consumer, "getmany", held)
    having = sorted(who_has(bench, "i4"))
    quiet, acting, gone = having[:3]
    bench.thread.submit(bench.recommender.assortment.remove, "i4").result()
    bench.lane.begin(2)
    bench.lane.offer(chunk([record(4 * USERS, acting, "i1")], epoch=2))
    bench.lane.offer(chunk([raw(ERASURES, 0, gone.encode(), None)], epoch=2))
    await bench.idle()
    assert newest(bench)[gone] is None
    gate.set()
    await bench.wait(lambda: not who_has(bench, "i4"))
    await settled(bench)
    found = newest(bench)
    assert found[gone] is None
    assert (found[quiet].republished, found[acting].republished) == (True, False)  # type: ignore[union-attr]
    assert bench.metric("freshet_republished_lists_total") == len(having) - 2


async def test_the_erased_get_no_list(start: Start) -> None:
    """A null stays the last word on a user, whatever is removed afterwards."""
    bench, _ = start()
    await shopped(bench)
    gone = min(who_has(bench, "i4"))
    bench.lane.offer(chunk([raw(ERASURES, 0, gone.encode(), None)]))
    await bench.idle()
    assert bench.published is not None
    assert len(bench.published) == USERS - 1
    await remove(bench, "i4")
    await settled(bench)
    assert newest(bench)[gone] is None
    assert not who_has(bench, "i4")


async def test_an_item_that_goes_while_a_list_is_on_its_way(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A list that was made before a removal, and published after it, is made again as well."""
    bench, _ = start()
    commit = bench.partition.commit

    async def removing(outgoing: Outgoing, *rest: object) -> None:
        monkeypatch.setattr(bench.partition, "commit", commit)
        await remove(bench, "i4")
        await commit(outgoing, *rest)

    monkeypatch.setattr(bench.partition, "commit", removing)
    records = [record(offset, f"u{offset % 5}", f"i{offset % 6}") for offset in range(60)]
    bench.lane.offer(chunk(records))
    await bench.idle()
    assert any(decode_list(each.value or b"").items for each in log_of(bench))
    await bench.wait(lambda: bench.metric("freshet_republished_lists_total") > 0)
    await settled(bench)
    assert not who_has(bench, "i4")


async def test_a_user_on_whom_it_fails_stops_nobody(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """A list that cannot be made stays until its user acts; the others are made, the lane goes on."""
    bench, _ = start()
    await shopped(bench)
    unlucky = min(who_has(bench, "i4"))
    recommend = bench.recommender.recommend

    def fragile(users: Sequence[User], partition: int) -> list[RecommendationList]:
        if any(user.user_id == unlucky for user in users):
            raise ZeroDivisionError(unlucky)
        return recommend(users, partition)

    monkeypatch.setattr(bench.recommender, "recommend", fragile)
    await remove(bench, "i4")
    await settled(bench)
    assert who_has(bench, "i4") == {unlucky}
    assert bench.caught_up == 1
    assert bench.lane.readiness is None
    monkeypatch.setattr(bench.recommender, "recommend", recommend)
    bench.lane.offer(chunk([record(4 * USERS, unlucky, "i1")]))
    await bench.idle()
    assert not who_has(bench, "i4")


async def test_a_lane_that_never_rests_makes_some_as_well(start: Start) -> None:
    """Beside an unbroken stream of events a portion is made once a second, in a transaction of theirs."""
    bench, _ = start()
    await shopped(bench)
    again, many = bench.lane.republishing, 5_000
    assert again is not None
    gate = threading.Event()
    bench.thread.submit(gate.wait)
    waits = bench.thread.submit(bench.recommender.assortment.remove, "i4")
    bench.lane.offer(chunk([record(4 * USERS + number, "busy", "i1") for number in range(many)]))
    again._last = float("-inf")
    again.look_again()
    gate.set()
    waits.result()
    await bench.wait(lambda: bench.metric("freshet_republished_lists_total") > 0)
    assert bench.metric("freshet_events_total") < 4 * USERS + many / 2
    await bench.idle()
    await settled(bench)
    assert not who_has(bench, "i4")


async def test_lists_of_users_whom_nobody_knows_stay(start: Start) -> None:
    """Lists of another shop, however many, are left alone and are in nobody's way."""
    bench, _ = start()
    await shopped(bench)
    again, sent = bench.lane.republishing, len(bench.partition.sent)
    assert again is not None
    value = b'{"items": [{"item_id": "unheard of"}]}'
    log = [raw(LISTS, number, b"stranger %d" % number, value) for number in range(100)]
    bench.thread.submit(again._take, log).result()
    assert again.waiting == 100
    again.on_waiting()
    await settled(bench)
    assert (again.waiting, len(bench.partition.sent)) == (0, sent)


async def test_whoever_gets_a_list_anyway_gets_no_other(start: Start) -> None:
    """No list is made for users who get one for what they did."""
    bench, _ = start()
    await shopped(bench)
    await bench.lane.drain()
    again, overlay = bench.lane.republishing, bench.partition.overlay
    assert again is not None
    acting, *others = sorted(who_has(bench, "i4"))
    overlay.user(acting).changed = True
    await remove(bench, "i4")
    made = await again.make(overlay, ())
    assert {each.user_id for each in made} == set(others)
    assert again.due_in(is_calm=True, made=len(made)) == 0
    assert await again.make(overlay, others) == []
    assert again.due_in(is_calm=True, made=len(made)) is None


async def test_another_epoch_reads_on(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """A partition that stays is read on; one that went and came back, from the beginning."""
    bench, consumer = start()
    await shopped(bench)
    sought: list[int] = []
    seek = consumer.seek

    def noted(tp: TopicPartition, offset: int) -> None:
        sought.append(offset)
        seek(tp, offset)

    monkeypatch.setattr(consumer, "seek", noted)
    consumer.logs[0] = log_of(bench)

    async def reopened(epoch: int) -> None:
        count = len(sought)
        bench.source.rewind()
        bench.lane.begin(epoch)
        again = bench.lane.republishing
        await bench.wait(lambda: len(sought) > count and again is not None and again._own is None)

    await reopened(2)
    await reopened(3)
    bench.lane.park()
    await bench.wait(lambda: not bench.partition.is_open)
    await reopened(4)
    assert sought == [0, len(consumer.logs[0]), 0]
