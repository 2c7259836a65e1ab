"""What is in hand until it is durable, and the records that something fails on."""

import random

from hypothesis import given
from hypothesis import strategies as st

from streams.hand import MOST_DEFECTS, Hand
from tests.streams.fakes import CLICKS, record

RECORDS = [record(offset) for offset in range(30)]


def test_what_was_put_back_is_done_again_in_its_order() -> None:
    """Whatever was taken in whatever pieces comes back as one, before anything new."""
    hand = Hand()
    hand.take(RECORDS[:3])
    hand.take(RECORDS[3:8])
    hand.leave(2)
    assert hand.redo(100) == RECORDS[6:8]
    hand.take(RECORDS[6:8])
    hand.put_back()
    assert hand.redo(5) == RECORDS[:5]
    assert hand.records(CLICKS) == RECORDS[5:8]


def test_what_is_durable_does_not_come_back() -> None:
    """After `settle` nothing is in hand."""
    hand = Hand()
    hand.take(RECORDS)
    hand.settle()
    hand.put_back()
    assert hand.redo(100) == []
    assert not hand.is_careful


@given(st.sets(st.integers(0, 29), max_size=6), st.integers(1, 30))
def test_the_records_that_fail_are_found_and_no_others(poisonous: set[int], size: int) -> None:
    """Tried in pieces, then one by one: every record settles once, in order, the poisonous as defects."""
    hand, settled, refused, fresh = Hand(), [], set(), list(RECORDS)
    for _ in range(500):
        pieces = hand.redo(size) or [fresh.pop(0) for _ in range(min(size, len(fresh)))]
        if not pieces:
            break
        hand.take(pieces)
        failed = {r.offset for r in pieces} & poisonous - {offset for _, offset in hand.defects}
        if failed:
            assert hand.blame(ValueError("poison")) or len(poisonous) > MOST_DEFECTS
        else:
            refused |= {offset for _, offset in hand.defects}
            settled += pieces
            hand.settle()
    if len(poisonous) <= MOST_DEFECTS:
        assert settled == RECORDS
        assert refused == poisonous
        assert hand.defects == {}
        assert not hand.is_careful


def test_where_everything_fails_no_record_is_blamed_any_more() -> None:
    """After a few defects in a row it is something else that is broken, until something succeeds."""
    hand = Hand()
    for offset in range(MOST_DEFECTS):
        hand.take([RECORDS[offset]])
        assert hand.blame(ValueError())
        hand.take(hand.redo(1))
        hand.settle()
    hand.take([RECORDS[10]])
    assert not hand.blame(ValueError())
    hand.take(hand.redo(1))
    hand.settle()
    hand.take([RECORDS[11]])
    assert hand.blame(ValueError())


def test_an_ended_epoch_leaves_nothing_in_hand() -> None:
    """What is delivered again is not also done again."""
    hand = Hand()
    hand.take(RECORDS)
    assert hand.blame(ValueError())
    hand.take(hand.redo(random.Random(0).randrange(1, 9)))
    hand.clear()
    assert (hand.redo(9), hand.records(CLICKS), hand.is_careful) == ([], [], False)
