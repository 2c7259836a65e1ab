"""What a leak would break: each check raises AssertionError for a recommender that knows what it cannot."""

from collections.abc import Callable, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from models.checkpoint import decode_checkpoint, encode_checkpoint
from models.prequential import BASELINES
from state import MemoryStore
from state.overlay import Overlay
from streams.evaluation import Evaluation, Variant, evaluate_log
from streams.events import Interaction
from streams.learned import restore, snapshot
from streams.recommender import Recommender, Record
from streams.scoreboard import SCORER
from streams.settings import Settings
from tests.streams.random_logs import START_MS, interaction, random_log

SETTINGS = Settings(device="cpu")
SCORERS = (SCORER, *BASELINES)
USER_BLIND = tuple(name for name in BASELINES if name != "repeat")
Make = Callable[[Settings], Recommender]


def ranks_of(evaluation: Evaluation) -> dict[str, list[int]]:
    """Return every scorer's ranks as lists, to be compared exactly."""
    return {scorer: evaluation.ranks[scorer].tolist() for scorer in SCORERS}


def hit_rate(ranks: NDArray[np.int32], cutoff: int = 10) -> float:
    """Return the share of scored events of at most this rank."""
    scored = ranks[ranks >= 0]
    return float(np.mean((scored > 0) & (scored <= cutoff)))


def most_by_chance(rate: float, events: int) -> float:
    """Return what a rate of independent events exceeds once in 30,000 times, or less."""
    return rate + 4 * float(np.sqrt(rate * (1 - rate) / events))


def check_random_future() -> None:
    """Check that items drawn by a fair die, after an orderly past, are hit at chance: at rank 10 and 1."""
    random, items, half = np.random.default_rng(11), 100, 1200
    orderly = habits(random, half, users=20, items=items)
    chance = [
        interaction(f"u{random.integers(20)}", f"i{random.integers(items)}", START_MS + (half + n) * 60_000)
        for n in range(half)
    ]
    ranks = evaluate_log(orderly + chance, SETTINGS, "all").ranks
    assert hit_rate(ranks[SCORER][half // 2 : half]) > 0.5
    for scorer in SCORERS:
        for cutoff in (1, 10):
            assert hit_rate(ranks[scorer][half:], cutoff) < most_by_chance(cutoff / items, half)


def check_permuted_users() -> None:
    """Check that with users shuffled among the events the model is no better than one that knows none."""
    random = np.random.default_rng(12)
    log = habits(random, 1500, users=30, items=180)
    users = [log[place].user_id for place in random.permutation(len(log))]
    shuffled = [msgspec.structs.replace(each, user_id=user) for each, user in zip(log, users, strict=True)]
    known = evaluate_log(log, SETTINGS, "all").ranks
    blind = max(hit_rate(known[name]) for name in USER_BLIND)
    assert hit_rate(known[SCORER]) > 5 * blind
    assert hit_rate(evaluate_log(shuffled, SETTINGS, "all").ranks[SCORER]) < most_by_chance(blind, len(log))


def check_later_events(variant: Variant) -> None:
    """Check that altering event k + 1, or all from there on, within a chunk, changes no rank up to k."""
    log, other = random_log(2, 450), random_log(3, 450)
    expected = ranks_of(evaluate_log(log, SETTINGS, variant))
    for cut in (1, 130, 301, 402):
        # Somebody else does what happened at event k: whoever knew would have ranked that higher.
        alien = msgspec.structs.replace(log[cut], item_id=log[cut - 1].item_id, user_id="alien")
        later = [msgspec.structs.replace(e, timestamp_ms=e.timestamp_ms + 10**8) for e in other[cut:]]
        for changed in ([alien, *log[cut + 1 :]], later):
            altered = ranks_of(evaluate_log(log[:cut] + changed, SETTINGS, variant))
            for scorer in SCORERS:
                assert altered[scorer][:cut] == expected[scorer][:cut], (scorer, cut)
            assert altered != expected


def check_chunks(variant: Variant) -> None:
    """Check that steps of 1, 13 and 2,000 events give every scorer the same rank at every event."""
    log = random_log(1, 900)
    expected = ranks_of(evaluate_log(log, SETTINGS, variant, chunk=2000))
    assert max(expected[SCORER]) > 1
    for chunk in (1, 13):
        assert ranks_of(evaluate_log(log, SETTINGS, variant, chunk=chunk)) == expected


def check_instants() -> None:
    """Check that with `batch_ties` altering an event of an instant changes no rank of its other events."""
    settings = msgspec.structs.replace(SETTINGS, batch_ties=True)
    log = random_log(13, 500)
    log = [
        msgspec.structs.replace(each, timestamp_ms=START_MS + n // 7 * 60_000) for n, each in enumerate(log)
    ]
    expected = ranks_of(evaluate_log(log, settings, "all", chunk=50))
    for start in (0, 140, 420):
        for place in (start, start + 3):
            changed = log[place + 1]
            evaluation = evaluate_log([*log[:place], changed, *log[place + 1 :]], settings, "all", chunk=50)
            altered = ranks_of(evaluation)
            for scorer in SCORERS:
                for other in set(range(start + 7)) - {place}:
                    assert altered[scorer][other] == expected[scorer][other], (scorer, place, other)


def check_lists(make: Make) -> None:
    """Check that lists and their scores do not know what comes next, and that asking changes no rank."""
    log = _records(random_log(4, 400))
    altered = [*log[:300], *_records(random_log(5, 400))[300:]]
    asked, other, silent = (Told(make(SETTINGS)) for _ in range(3))
    for start in range(0, 400, 50):
        for told, records in ((asked, log), (other, altered), (silent, log)):
            told.step(records[start : start + 50])
        lists = asked.lists()
        assert any(lists.values())
        assert (other.lists() == lists) == (start < 300)
    assert asked.ranks == silent.ranks
    assert other.ranks != asked.ranks


def check_goes_on(make: Make, stop_at: int) -> None:
    """Check that stopped, saved, loaded and continued it gives the ranks and lists of an undisturbed one."""
    records = _records(random_log(6, 420))
    one = Told(make(SETTINGS))
    one.step(records[:stop_at])
    arrays, facts = decode_checkpoint(encode_checkpoint(*snapshot(one.recommender)))
    other = Told(make(SETTINGS), one.store)
    restore(other.recommender, arrays, facts)
    for start in range(stop_at, len(records), 37):
        for told in (one, other):
            told.step(records[start : start + 37])
        assert other.lists() == one.lists()
    assert {event for event, _ in other.ranks} >= set(range(stop_at, len(records)))
    assert other.ranks.items() <= one.ranks.items()


def habits(random: np.random.Generator, events: int, users: int, items: int) -> list[Interaction]:
    """Return events of users who each have a few items of their own, drawn at random, and nothing else."""
    own = random.permutation(items).reshape(users, -1)[:, :5]
    log = []
    for number in range(events):
        user = int(random.integers(users))
        item = own[user, int(random.integers(own.shape[1]))]
        log.append(interaction(f"u{user}", f"i{item}", START_MS + number * 60_000))
    return log


def _records(log: Sequence[Interaction]) -> list[Record]:
    return [Record(SETTINGS.source_of(each.action), 0, n, [each]) for n, each in enumerate(log)]


class Told:
    """A recommender with users of its own, and every rank that it told."""

    def __init__(self, recommender: Recommender, store: MemoryStore | None = None) -> None:
        self.recommender = recommender
        self.store = MemoryStore()
        if store is not None:
            self.store.write(dict(store.scan()))
        self.ranks: dict[tuple[int, str], int | None] = {}
        self._overlay = Overlay(self.store)
        recommender.scoreboard.on_rank = self._take_rank

    def step(self, records: Sequence[Record]) -> None:
        """Apply records and write the users."""
        self.recommender.step(records, self._overlay)
        self.recommender.scoreboard.take_waiting()
        self.store.write(self._overlay.changes())
        self._overlay.settle()

    def lists(self) -> dict[str, list[tuple[str, float]]]:
        """Return every user's list: item ids and scores."""
        users = [self._overlay.user(f"u{number}") for number in range(12)]
        made = self.recommender.recommend(users, 0)
        self._overlay.clear()
        return {each.user_id: [(item.item_id, item.score) for item in each.items] for each in made}

    def _take_rank(self, event: int, scorer: str, rank: int | None) -> None:
        self.ranks[event, scorer] = rank
