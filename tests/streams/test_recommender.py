"""The recommender's step: test, then learn; the same whatever the chunks; nothing twice."""

import random
from collections.abc import Iterable, Sequence
from hashlib import blake2b

import msgspec
import pytest

from models import catalog
from models.catalog import item_key
from state import MemoryStore
from state.overlay import Overlay
from streams.events import Interaction, RecommendationList
from streams.recommender import Recommender, Record
from streams.scoreboard import SCORER
from streams.settings import Exclude, Settings
from tests.streams.fakes import CLICKS, PURCHASES, START_MS

SETTINGS = Settings(device="cpu", history_length=20)


def click(offset: int, user: str, item: str, time: int | None = None, topic: str = CLICKS) -> Record:
    """Return a record of one interaction, `time` seconds after the start: unless given, its offset."""
    action = "purchase" if topic == PURCHASES else "click"
    time_ms = START_MS + 1000 * (offset if time is None else time)
    return Record(topic, 0, offset, [Interaction(user, item, action, time_ms)])


def stream(events: int, seed: int) -> list[Record]:
    """Return random clicks and purchases of a few users, some of them late."""
    rng = random.Random(seed)
    records, offsets = [], {CLICKS: 0, PURCHASES: 0}
    for time in range(events):
        topic = PURCHASES if rng.random() < 0.2 else CLICKS
        user, item = f"u{rng.randrange(12)}", f"i{int(rng.paretovariate(0.6)) % 40}"
        late = rng.randrange(50) if rng.random() < 0.1 else 0
        records.append(click(offsets[topic], user, item, max(time - late, 0), topic))
        offsets[topic] += 1
    return records


class Run:
    """A recommender and a store of users, written after every chunk."""

    def __init__(self, settings: Settings = SETTINGS) -> None:
        self.recommender = Recommender(settings)
        self.store = MemoryStore()
        self.overlay = Overlay(self.store)
        self.ranks: list[tuple[int, str, int | None]] = []
        self.recommender.scoreboard.on_rank = lambda *told: self.ranks.append(told)

    def feed(self, records: Sequence[Record], size: int) -> None:
        """Apply the records in chunks of a size, and make each of them durable."""
        for start in range(0, len(records), size):
            self.recommender.step(records[start : start + size], self.overlay)
            self.write()

    def write(self) -> None:
        """Make durable what is in hand."""
        self.store.write(self.overlay.changes())
        self.overlay.settle()

    def lists(self, users: Iterable[str]) -> list[RecommendationList]:
        """Return the users' lists, without the moment of their making."""
        found = [self.overlay.user(user) for user in users]
        made = self.recommender.recommend(found, 0)
        return [msgspec.structs.replace(each, made_at=0) for each in made]


@pytest.mark.parametrize("exclude", ["nothing", "purchased", "seen"])
def test_chunks_of_one_and_of_all_give_the_same(exclude: Exclude) -> None:
    """Ranks, states and lists do not depend on the size of the chunks."""
    records = stream(700, seed=1)
    runs = []
    for size in (1, 37, 2000):
        run = Run(msgspec.structs.replace(SETTINGS, exclude=exclude))
        run.feed(records, size)
        run.recommender.scoreboard.take_waiting()
        runs.append(run)
    users = [f"u{n}" for n in range(12)]
    for other in runs[1:]:
        assert sorted(other.ranks, key=str) == sorted(runs[0].ranks, key=str)
        assert dict(other.store.scan()) == dict(runs[0].store.scan())
        assert other.lists(users) == runs[0].lists(users)


def test_an_event_is_scored_with_nothing_of_itself() -> None:
    """What happens at an event, and after it, leaves the ranks of those before it as they are."""
    records = stream(300, seed=2)
    for change in (299, 150):
        one, other = Run(), Run()
        one.feed(records, 300)
        event = records[change].interactions[0]
        changed = msgspec.structs.replace(event, item_id="something else")
        altered = Record(records[change].topic, 0, records[change].offset, [changed])
        other.feed([*records[:change], altered, *records[change + 1 :]], 300)
        for run in (one, other):
            run.recommender.scoreboard.take_waiting()
        before = [told for told in one.ranks if told[0] < change]
        assert before == [told for told in other.ranks if told[0] < change]
        assert any(rank is not None for number, _, rank in before if number > 50)
        assert all(rank is None for number, _, rank in other.ranks if number == change)


def test_the_first_event_of_an_item_has_no_rank() -> None:
    """An item that was never heard of cannot have been recommended."""
    run = Run()
    run.feed([click(n, "u", f"i{n}") for n in range(20)], 5)
    run.recommender.scoreboard.take_waiting()
    assert len(run.ranks) == 20 * len(run.recommender.scoreboard.prequential)
    assert {rank for _, _, rank in run.ranks} == {None}


def test_what_comes_again_changes_its_user_but_teaches_nothing() -> None:
    """After a failure the users start from what is durable; the model has what it has learned, once."""
    records = stream(400, seed=3)
    straight, broken = Run(), Run()
    straight.feed(records, 100)
    broken.feed(records[:200], 100)
    broken.recommender.step(records[200:300], broken.overlay)
    broken.overlay.clear()
    broken.feed(records[200:], 50)
    assert dict(broken.store.scan()) == dict(straight.store.scan())
    assert sorted(broken.ranks, key=str) == sorted(straight.ranks, key=str)
    assert broken.recommender.events == 400
    assert broken.recommender.counts.events == straight.recommender.counts.events
    assert broken.lists(["u1", "u2"]) == straight.lists(["u1", "u2"])


@pytest.mark.parametrize("batch_ties", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_failures_in_the_midst_of_a_step_teach_nothing_twice(
    monkeypatch: pytest.MonkeyPatch, seed: int, batch_ties: bool
) -> None:
    """Wherever a step fails, and in whatever chunks its records come again, each event is counted once."""
    rng = random.Random(seed)
    records = [click(n, f"u{n % 5}", f"i{n}", time=n - n % rng.choice([1, 3, 7])) for n in range(500)]
    run = Run(msgspec.structs.replace(SETTINGS, batch_ties=batch_ties))
    teach, fails = run.recommender.ranker.teach, 0

    def teach_and_fail(*arguments: object) -> None:
        nonlocal fails
        teach(*arguments)  # type: ignore[arg-type]
        if rng.random() < 0.2:
            fails += 1
            raise ZeroDivisionError("what was taught is taught")

    monkeypatch.setattr(run.recommender.ranker, "teach", teach_and_fail)
    done = 0
    while done < len(records):
        size = rng.choice([1, 5, 40])
        try:
            run.feed(records[done : done + size], size)
            done += size
        except ZeroDivisionError:
            run.overlay.clear()
    rows = [run.recommender.catalog.row(item_key(f"i{n}")) for n in range(500)]
    assert run.recommender.counts.occurrences()[rows].tolist() == [1] * 500
    assert run.recommender.events == 500
    assert fails > 3


def test_a_late_event_is_kept_and_counted_but_neither_scored_nor_a_target() -> None:
    """It stands in its place in the sequence and says what is popular; nothing came after it."""
    run = Run()
    run.feed([click(0, "u", "a", 10), click(1, "u", "b", 20)], 2)
    told, counted = len(run.ranks), run.recommender.counts.events
    step = run.recommender.step([click(2, "u", "c", 15)], run.overlay)
    assert (step.late, step.applied) == ({CLICKS: 1}, {(CLICKS, "click"): 1})
    assert len(run.ranks) == told
    assert run.recommender.counts.events == counted + 1
    keys = run.overlay.user("u").state.item_keys.tolist()
    assert [run.recommender.item_id(key) for key in keys] == ["a", "c", "b"]


@pytest.mark.parametrize(
    ("exclude", "expected"),
    [("nothing", {"seen", "bought", "other"}), ("purchased", {"seen", "other"}), ("seen", {"other"})],
)
def test_exclude_says_what_is_not_recommended_again(exclude: Exclude, expected: set[str]) -> None:
    """Nothing, what was bought, or whatever was seen; also after the sequence has forgotten it."""
    run = Run(msgspec.structs.replace(SETTINGS, exclude=exclude, history_length=2))
    run.feed([click(0, "u", "seen"), click(0, "u", "bought", 1, PURCHASES)], 2)
    run.feed([click(n, "v", "other") for n in range(1, 9)], 3)
    assert {item.item_id for item in run.lists(["u"])[0].items} == expected
    run.recommender.scoreboard.take_waiting()
    told = len(run.ranks)
    run.feed([click(9, "u", "bought")], 1)
    run.recommender.scoreboard.take_waiting()
    assert (len(run.ranks) == told) == (exclude != "nothing")


def test_the_lines_of_an_order_are_events_one_after_the_other() -> None:
    """An order of 1,000 lines is 1,000 events at one position, in their order."""
    run = Run(msgspec.structs.replace(SETTINGS, history_length=1000))
    lines = [Interaction("u", f"i{n % 300}", "purchase", START_MS) for n in range(1000)]
    step = run.recommender.step([Record(PURCHASES, 0, 7, lines)], run.overlay)
    state = run.overlay.user("u").state
    assert step.applied == {(PURCHASES, "purchase"): 1000}
    assert state.lines.tolist() == list(range(1000))
    assert state.positions == {PURCHASES: 7}
    assert len(step.new_item_ids) == 300


def test_items_with_one_key_refuse_the_whole_record(monkeypatch: pytest.MonkeyPatch) -> None:
    """An item that cannot be told from another is refused with its order; nothing of it is applied."""

    def coarse(item_id: str) -> int:
        known = item_id.replace("twin", "first")
        return int.from_bytes(blake2b(known.encode(), digest_size=8).digest(), "little")

    monkeypatch.setattr(catalog, "item_key", coarse)
    run = Run()
    run.feed([click(0, "u", "first")], 1)
    lines = [Interaction("u", item, "click", START_MS + 1) for item in ("fine", "twin")]
    step = run.recommender.step([Record(CLICKS, 0, 1, lines), click(2, "u", "last")], run.overlay)
    ((refused, why),) = step.refused
    assert (refused.offset, why.reason) == (1, "item_id")
    assert run.overlay.user("u").state.offsets.tolist() == [0, 2]
    run.recommender.learn_item_ids([(coarse("first"), "twin"), (coarse("next"), "next")])
    assert run.recommender.item_id(coarse("first")) == "first"
    assert run.recommender.item_id(coarse("next")) == "next"


def test_a_new_item_id_is_told_until_it_is_durable() -> None:
    """A transaction that failed took its ids with it, so they are told again; what is durable is not."""
    run = Run()
    key = catalog.item_key("a")
    for _ in range(2):
        assert run.recommender.step([click(0, "u", "a")], run.overlay).new_item_ids == {key: "a"}
        run.overlay.clear()
    run.recommender.learn_item_ids([(key, "a")])
    assert run.recommender.step([click(0, "u", "a")], run.overlay).new_item_ids == {}


def test_a_list_is_made_for_the_time_of_its_stream() -> None:
    """Positions and event time are the user's; somebody else's later events move the clock of all."""
    run = Run()
    run.feed([click(0, "u", "a", 10), click(0, "u", "b", 20, PURCHASES), click(1, "u", "c", 5)], 3)
    (made,) = run.lists(["u"])
    assert made.positions == {CLICKS: (0, 1), PURCHASES: (0, 0)}
    assert made.event_time == START_MS + 20_000
    run.feed([click(2, "v", "a", 5000)], 1)
    (later,) = run.lists(["u"])
    assert [item.score for item in later.items] != [item.score for item in made.items]
    assert later.event_time == made.event_time


def test_the_sums_are_those_of_the_ranks() -> None:
    """Every scored event counts once in every scorer's sums, hits at ten or better."""
    run = Run()
    run.feed(stream(500, seed=4), 64)
    run.recommender.scoreboard.take_waiting()
    for scorer, sums in run.recommender.scoreboard.prequential.items():
        ranks = [rank for _, name, rank in run.ranks if name == scorer]
        assert sums.scored == len(ranks)
        assert sums.hits == sum(rank is not None and rank <= 10 for rank in ranks)
    assert run.recommender.scoreboard.prequential[SCORER].hits > 0
