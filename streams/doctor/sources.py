"""What is looked at in the newest records of the sources: keys, messages, partitioners, clocks."""

import time
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence

from streams.doctor.check import Check
from streams.doctor.sampling import Sampled
from streams.settings import Settings

Samples = Mapping[str, Sequence[Sampled]]

# A broken record now and then is what dead letters are for.
TOLERATED_SHARE = 0.01
# So many different keys are hardly ever where another partitioner would have put them by chance.
TELLING_KEYS = 10
TOLERATED_AHEAD_MS = 5_000


def check_keys(settings: Settings, samples: Samples) -> Check:
    """See whether records are keyed by the text of their user id."""
    found, advice = [], []
    for topic, records in samples.items():
        refused = [record.refused for record in records if record.refused and record.refused.reason == "key"]
        found.append(_share(topic, records, len(refused), "keyed by the user id"))
        if len(refused) > TOLERATED_SHARE * len(records):
            path = settings.sources[topic].fields.user_id
            found[-1] += f" ({refused[-1].detail})"
            advice.append(
                f"let what writes to {topic} use the plain text of {path} as the record's key, or copy it to "
                "a topic with that key: until then these records end in the dead letters"
            )
    return Check("keys", not advice, "; ".join(found), "; ".join(advice) or None)


def check_messages(settings: Settings, samples: Samples) -> Check:
    """See whether what is in the records can be read as the settings say."""
    found, advice = [], []
    for topic, records in samples.items():
        refused = [record.refused for record in records if record.refused and record.refused.reason != "key"]
        reasons = Counter(why.reason for why in refused)
        by_reason = "".join(f", {count} refused by {reason}" for reason, count in reasons.most_common())
        found.append(_share(topic, records, len(refused), "readable") + by_reason)
        if len(refused) > TOLERATED_SHARE * len(records):
            found[-1] += f" ({refused[-1].detail})"
            advice.append(f"map the fields in [sources.{topic}] (docs/topics.md), or mend what writes to it")
    return Check("messages", not advice, "; ".join(found), "; ".join(advice) or None)


def _share(topic: str, records: Sequence[Sampled], refused: int, what: str) -> str:
    if not records:
        return f"{topic}: no records yet"
    return f"{topic}: {len(records) - refused} of the newest {len(records)} records {what}"


def check_partitioners(samples: Samples, partitions: Mapping[str, int]) -> Check:
    """See whether a key is in the same partition number of every source, as far as a sample tells."""
    if len(set(partitions.values())) > 1:
        found, advice = "not checked: the sources' partitions differ", "first mend what 'partitions' says"
        return Check("partitioners", ok=False, found=found, advice=advice)
    places = {topic: _places(records) for topic, records in samples.items()}
    advice = (
        "let every producer choose partitions as Kafka's own does (librdkafka: partitioner=murmur2_random), "
        "then write anew what lies elsewhere: a user's events must be in one partition number"
    )
    torn = next(_torn(places), None)
    if torn:
        return Check("partitioners", ok=False, found=torn, advice=advice)
    fits = {topic: _fits(keys, partitions[topic]) for topic, keys in places.items()}
    telling = {topic: fit for topic, fit in fits.items() if fit}
    found = ", ".join(f"{topic} by {' or '.join(sorted(fit))}" for topic, fit in telling.items())
    if telling and not frozenset.intersection(*telling.values()):
        return Check("partitioners", ok=False, found=f"{found}: they do not agree", advice=advice)
    return Check("partitioners", ok=True, found=found or "nothing in the sample contradicts another")


def _places(records: Sequence[Sampled]) -> dict[bytes, set[int]]:
    places: dict[bytes, set[int]] = defaultdict(set)
    for record in records:
        if record.key is not None:
            places[record.key].add(record.partition)
    return dict(places)


def _torn(places: Mapping[str, Mapping[bytes, set[int]]]) -> Iterator[str]:
    """Yield, for each key in more than one partition number, where it was seen."""
    for key in {key for keys in places.values() for key in keys}:
        seen = {topic: keys[key] for topic, keys in places.items() if key in keys}
        if len(set.union(*seen.values())) > 1:
            where = ", ".join(f"{_numbers(numbers)} of {topic}" for topic, numbers in seen.items())
            yield f"key {key.decode(errors='backslashreplace')[:40]!r} is in {where}"


def _numbers(numbers: set[int]) -> str:
    plural = "s" if len(numbers) > 1 else ""
    return f"partition{plural} {' and '.join(map(str, sorted(numbers)))}"


def _fits(places: Mapping[bytes, set[int]], partitions: int) -> frozenset[str]:
    """Return the partitioners that would put every key where it is; none of too few keys or one partition."""
    if len(places) < TELLING_KEYS or partitions == 1:
        return frozenset()
    return frozenset(
        name
        for name, choose in _partitioners().items()
        if all(choose(key) % partitions in seen for key, seen in places.items())
    )


def _partitioners() -> dict[str, Callable[[bytes], int]]:
    """Return how the defaults of Kafka's own producer and of librdkafka turn a key into a number."""
    from kafka.partitioner import murmur2

    return {
        "murmur2 (Kafka's own)": lambda key: int(murmur2(key)) & 0x7FFFFFFF,
        "crc32 (librdkafka)": zlib.crc32,
    }


def check_clock(samples: Samples) -> Check:
    """See whether the newest records are from the future; one that is old may be just that."""
    now_ms = time.time_ns() // 1_000_000
    found, ahead = [], False
    for topic, records in samples.items():
        newest = max(records, key=lambda record: record.timestamp_ms, default=None)
        if newest is None:
            found.append(f"{topic}: no records yet")
            continue
        whose = "the broker's" if newest.stamped_by_broker else "its producer's"
        seconds = (now_ms - newest.timestamp_ms) / 1000
        ahead = ahead or newest.timestamp_ms > now_ms + TOLERATED_AHEAD_MS
        when = f"{seconds:.0f} s ago" if seconds >= 0 else f"{-seconds:.0f} s ahead of this machine's"
        found.append(f"{topic}: newest record {when} by {whose} clock")
    advice = "one of the two clocks is wrong; let both follow NTP, else freshness cannot be told"
    return Check("clock", not ahead, "; ".join(found), advice if ahead else None)
