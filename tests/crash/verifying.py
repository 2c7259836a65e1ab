"""Compares what must be true with what was found; every difference says what, where, expected and found."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np

from models.catalog import item_key
from state import UserState
from state.exclusions import FINGERPRINT_MASK
from state.keys import ERASED_PREFIX
from streams.events import ACTIONS
from tests.crash.oracle import Expected, ExpectedUser, Position
from tests.crash.reading import Changelog, DeadLetter, Learned, Listed

SHOWN = 12  # entries of a long difference


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not as it must be."""

    what: str
    where: str
    expected: object
    found: object

    def __str__(self) -> str:
        return f"{self.what}: {self.where}: expected {self.expected}, found {self.found}"


def check_users(expected: Expected, found: Mapping[str, UserState]) -> Iterator[Difference]:
    """Each user's sequence and positions are the oracle's; nobody is there who should not be."""
    for user_id in sorted(expected.users.keys() | found.keys()):
        user, state = expected.users.get(user_id), found.get(user_id)
        if user is None:
            why = "erased" if user_id in expected.erasures else "never heard of"
            yield Difference("user", user_id, f"none, {why}", "a state")
        elif state is None:
            yield Difference("user", user_id, f"{len(user.sequence)} events", "nothing")
        else:
            yield from _check_sequence(user_id, user, state)
            if state.positions != user.positions:
                yield Difference("positions of user", user_id, user.positions, state.positions)


def check_exclusions(expected: Expected, found: Mapping[str, Sequence[int]]) -> Iterator[Difference]:
    """All that a user bought and did not give back is excluded, and nothing else."""
    for user_id, user in sorted(expected.users.items()):
        must = sorted(item_key(item_id) & FINGERPRINT_MASK for item_id in user.purchased)
        if list(found.get(user_id, ())) != must:
            yield Difference("exclusions", user_id, must, found.get(user_id))


def _check_sequence(user_id: str, user: ExpectedUser, state: UserState) -> Iterator[Difference]:
    must: list[tuple[int, str, int, int, str]] = [
        (entry.time_ms, entry.topic, entry.offset, item_key(entry.item_id), entry.action)
        for entry in user.sequence
    ]
    is_: list[tuple[int, str, int, int, str]] = [
        (time_ms, state.topics[topic], offset, key, ACTIONS[action])
        for time_ms, topic, offset, key, action in zip(
            state.times_ms, state.topic_indexes, state.offsets, state.item_keys, state.actions, strict=True
        )
    ]
    if must == is_:
        return
    missing, extra = Counter(must) - Counter(is_), Counter(is_) - Counter(must)
    if missing or extra:
        for kind, entries in (("lost", missing), ("too much", extra)):
            if entries:
                shown = [entry[:3] for entry in list(entries)[:SHOWN]]
                yield Difference(f"events {kind}", user_id, f"{len(must)} events", f"{kind} {shown}")
    else:
        yield Difference("order", user_id, [e[:3] for e in must[:SHOWN]], [e[:3] for e in is_[:SHOWN]])


def check_offsets(
    what: str, ends: Mapping[tuple[str, int], int], found: Mapping[tuple[str, int], int]
) -> Iterator[Difference]:
    """Something that follows the sources reached the end of every partition that has records."""
    for at, end in sorted(ends.items()):
        if found.get(at) != end:
            yield Difference(what, f"{at[0]} partition {at[1]}", end, found.get(at))


def check_dead_letters(
    expected: Expected, found: Sequence[tuple[Position, DeadLetter]]
) -> Iterator[Difference]:
    """Each bad record is a dead letter once, with its own position, reason and bytes; no good one is."""
    times = Counter(position for position, _ in found)
    for position in sorted(expected.dead.keys() - times.keys()):
        yield Difference("dead letter", str(position), expected.dead[position].truth, "none")
    for position, letter in found:
        record = expected.dead.get(position)
        if record is None:
            yield Difference("dead letter", str(position), "none: it is a good one", letter.reason)
        elif times[position] > 1:
            yield Difference("dead letter", str(position), "one", times[position])
        elif letter.reason != record.truth:
            yield Difference("reason", str(position), record.truth, letter.reason)
        elif (letter.key, letter.value) != (record.key, record.value):
            yield Difference("refused bytes", str(position), "unchanged", "others")


def check_lists(expected: Expected, found: Mapping[str, Listed]) -> Iterator[Difference]:
    """Each user's newest list is at the user's newest positions, and none was published twice."""
    for user_id, user in sorted(expected.users.items()):
        listed = found.get(user_id, Listed())
        must = {topic: (user.partition, offset) for topic, offset in user.positions.items()}
        is_ = None if listed.newest is None else listed.newest.positions
        shown = set() if listed.newest is None else {item.item_id for item in listed.newest.items}
        if shown & user.purchased:
            yield Difference("newest list", user_id, "nothing bought before", shown & user.purchased)
        if is_ != must:
            yield Difference("newest list", user_id, must, is_)
    for user_id, listed in sorted(found.items()):
        if listed.repeated:
            yield Difference("lists", user_id, "each once", f"twice {listed.repeated[:SHOWN]}")
        # Whoever is erased begins anew, and without a null before it if newer events came at the same time.
        if len(listed.backwards) > len(expected.erasures.get(user_id, ())):
            yield Difference("lists", user_id, "positions that grow", f"back to {listed.backwards[:SHOWN]}")
        if user_id not in expected.users and listed.newest is not None:
            yield Difference("newest list", user_id, "null", listed.newest.positions)


def check_receipts(expected: Expected, found: Sequence[Position]) -> Iterator[Difference]:
    """Each erasure has one receipt."""
    times = Counter(found)
    erasures = {position for positions in expected.erasures.values() for position in positions}
    for position in sorted({*erasures, *times}):
        must = int(position in erasures)
        if times[position] != must:
            yield Difference("receipts", str(position), must, times[position])


def check_marks(
    worker: str, expected: Expected, found: Mapping[tuple[str, int], int]
) -> Iterator[Difference]:
    """Each mark lies behind the last event that counts, and not beyond the end."""
    last: dict[tuple[str, int], int] = {}
    for topic, partition, offset in expected.counted:
        last[topic, partition] = max(offset, last.get((topic, partition), 0))
    for at, offset in sorted(last.items()):
        if not offset < found.get(at, 0) <= expected.ends[at]:
            must = f"{offset + 1} to {expected.ends[at]}"
            yield Difference(f"mark of {worker}", f"{at[0]} partition {at[1]}", must, found.get(at))


def check_examples(expected: Expected, taught: Mapping[str, Sequence[Position]]) -> Iterator[Difference]:
    """Each event that counts is in the examples log once; one that an erasure overtook, at most once."""
    times = Counter(position for positions in taught.values() for position in positions)
    for position, count in sorted(times.items()):
        if count > 1:
            yield Difference("taught", str(position), "once", count)
        if position not in expected.counted and position not in expected.perhaps_counted:
            yield Difference("taught", str(position), "never: it does not count", count)
    for position in sorted(expected.counted.keys() - times.keys()):
        yield Difference("taught", str(position), "once", 0)


def true_occurrences(expected: Expected, taught: Mapping[str, Sequence[Position]]) -> Counter[int]:
    """Return item key -> events; of those that an erasure overtook, the ones that were taught."""
    counted = Counter(item_key(item_id) for item_id in expected.counted.values())
    for position in {position for positions in taught.values() for position in positions}:
        if position in expected.perhaps_counted:
            counted[item_key(expected.perhaps_counted[position])] += 1
    return counted


def overtaken_occurrences(expected: Expected, taught: Mapping[str, Sequence[Position]]) -> Counter[int]:
    """Return item key -> events that were dropped because an erasure of their user overtook them.

    A worker that had counted such an event, and lost the partition before that was durable, still has.
    """
    were_taught = {position for positions in taught.values() for position in positions}
    return Counter(
        item_key(item_id)
        for position, item_id in expected.perhaps_counted.items()
        if position not in were_taught
    )


def counters_digest(occurrences: Mapping[int, int]) -> str:
    """Return the digest that a worker has if it counted each item this often."""
    keys = sorted(occurrences)
    counts = [occurrences[key] for key in keys]
    data = np.array(keys, "<u8").tobytes() + np.array(counts, "<i8").tobytes()
    return blake2b(data, digest_size=16).hexdigest()


def check_occurrences(worker: str, must: Mapping[int, int], found: Mapping[int, int]) -> Iterator[Difference]:
    """Each item was counted as often as it occurred, by every replica."""
    wrong = {key: (must.get(key, 0), found.get(key, 0)) for key in must.keys() | found.keys()}
    wrong = {key: pair for key, pair in wrong.items() if pair[0] != pair[1]}
    for key, (expected, counted) in sorted(wrong.items())[:SHOWN]:
        yield Difference(f"counters of {worker}", f"item key {key:016x}", expected, counted)
    if len(wrong) > SHOWN:
        yield Difference(f"counters of {worker}", "items", "all as often", f"{len(wrong)} wrong")


def users_digest(changelog: Changelog, partitions: Iterable[int]) -> str:
    """Return the digest that a worker of these partitions has if its stores are what the changelog says."""
    digest = blake2b(digest_size=16)
    for partition in partitions:
        part = blake2b(digest_size=16)
        for key, value in sorted(changelog.raw.get(partition, {}).items()):
            if not key.startswith(ERASED_PREFIX):
                part.update(len(key).to_bytes(4, "little") + key + value)
        digest.update(part.digest())
    return digest.hexdigest()


def check_workers(
    workers: Mapping[str, Mapping[str, Any]], changelog: Changelog, counters: str, partitions: int
) -> Iterator[Difference]:
    """Every worker's stores are the changelog's, its counters the oracle's; each partition has one owner."""
    owners: Counter[int] = Counter()
    for name, described in sorted(workers.items()):
        if not described:
            yield Difference("worker", name, "an answer", "none")
            continue
        own = [lane["partition"] for lane in described["partitions"]]
        owners.update(own)
        digests = described["digests"]
        if digests["counters"] != counters:
            yield Difference("counters' digest", name, counters, digests["counters"])
        if digests["users"] != users_digest(changelog, own):
            yield Difference("stores", f"{name}, partitions {own}", "as the changelog", "other bytes")
    for partition in range(partitions):
        if owners[partition] != 1:
            yield Difference("owners of partition", str(partition), 1, owners[partition])


def check_learning(worker: str, applied: int, skipped: float, learned: Learned) -> Iterator[Difference]:
    """Check that a ranker learned from or skipped what its worker applied, in no more steps than possible.

    `applied` events were made durable by this worker. It may have learned from a few that another made
    durable after it lost the partition, so it can have learned from more, never from less.
    """
    if 16 * learned.steps > learned.events:
        yield Difference("learner steps", worker, f"at most {learned.events} / 16", learned.steps)
    if learned.events + skipped < applied:
        yield Difference("learned or skipped", worker, f"at least {applied}", (learned.events, skipped))
