"""The stream that is sent says the truth about itself, and holds everything that it should."""

from collections import Counter

import pytest

from streams.events import InteractionDecoder, Refused, decode_erasure
from streams.settings import Settings
from tests.crash.oracle import Source, expect
from tests.crash.stream import BAD, BAD_ERASURES, ERASURES, GOOD, Mix, Sent, Stream

NOW_MS = 1_700_000_000_000
MIX = Mix(erasures=0.005)


def drawn(records: int, mix: Mix = MIX, seed: int = 3) -> list[Sent]:
    """Return the first records of a stream, twenty a second."""
    stream = Stream(seed, mix, users_at_once=40)
    return [stream.draw(NOW_MS + 50 * number) for number in range(records)]


def as_log(records: list[Sent]) -> list[Source]:
    """Return the log of topics of one partition that these records make."""
    ends: Counter[str] = Counter()
    log = []
    for sent in records:
        log.append(Source(sent.topic, 0, ends[sent.topic], sent.time_ms, sent.key, sent.value, sent.truth))
        ends[sent.topic] += 1
    return log


def test_the_same_seed_draws_the_same() -> None:
    """A seed is all that is needed to send a stream again."""
    assert drawn(2000) == drawn(2000)
    assert drawn(200) != drawn(200, seed=4)


@pytest.mark.parametrize("number", range(len(BAD)))
def test_what_is_called_bad_is_refused(number: int) -> None:
    """Every spoiled message is refused by the worker's own decoder, for the reason in its header."""
    decoder = InteractionDecoder("clicks", Settings().sources["clicks"])
    reason, spoil = BAD[number]
    key, value = spoil({"user_id": "u1", "item_id": "i1", "timestamp": NOW_MS})
    with pytest.raises(Refused) as refused:
        decoder.decode(key, value, NOW_MS)
    assert refused.value.reason == reason


@pytest.mark.parametrize(("key", "value", "reason"), BAD_ERASURES)
def test_erasures_of_nobody_are_refused(key: bytes | None, value: bytes | None, reason: str) -> None:
    """Every erasure that is called bad is refused for the reason in its header."""
    with pytest.raises(Refused) as refused:
        decode_erasure(key, value)
    assert refused.value.reason == reason


def test_what_is_called_good_is_taken() -> None:
    """Every good message of a source, of this moment or late, is one that a decoder takes."""
    decoders = {name: InteractionDecoder(name, source) for name, source in Settings().sources.items()}
    for sent in drawn(3000):
        if sent.truth == GOOD and sent.topic != ERASURES:
            assert decoders[sent.topic].decode(sent.key, sent.value, sent.time_ms)


def test_everything_comes() -> None:
    """Late, bad and oversized records, duplicates, retractions and erasures all are in a stream."""
    log = as_log(drawn(6000))
    expected = expect(log, 1000)
    reasons = {record.truth for record in log}
    assert reasons == {GOOD, "size", *(reason for reason, _ in BAD)}
    assert expected.duplicates > 20
    assert expected.removed > 20
    assert expected.unmatched > 10
    assert len(expected.erasures) > 5
    assert any(user in expected.users for user in expected.erasures)
    assert {record.topic for record in log} == {"clicks", "purchases", ERASURES}
