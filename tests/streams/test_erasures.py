"""Users who are forgotten, and interactions that are taken back or come twice, without a broker."""

import json

import msgspec
import pytest

from models.catalog import item_key
from state import MemoryStore
from state.erasures import KEPT_MS
from state.overlay import Overlay
from streams.events import Erasure, Refused, decode_erasure, decode_list, decode_receipt, encode_erasure
from streams.examples import decode_examples, user_hash
from streams.settings import Settings
from streams.transaction import Tools, Transaction
from tests.streams.fakes import CLICKS, ERASURES, PURCHASES, START_MS, raw, record, tools_for

SETTINGS = Settings(device="cpu", history_length=1000, exclude="seen")


class World:
    """A partition's store and the transactions on it, one after the other."""

    def __init__(self, settings: Settings = SETTINGS) -> None:
        self.store = MemoryStore()
        self.overlay = Overlay(self.store)
        self.tools: Tools = tools_for(settings, now_seconds=lambda: START_MS / 1000 + 60)
        self.next_offsets: dict[str, int] = {}
        self.sent: dict[str, list[tuple[bytes | None, bytes | None]]] = {}

    def commit(self, *records: object) -> None:
        """Apply records in one transaction, and make it durable."""
        transaction = Transaction(0, self.next_offsets, self.overlay, self.tools)
        assert transaction.apply(records) == len(records)
        outgoing = transaction.close()
        self.sent = {
            topic: [(key, value) for key, value, _ in rows] for (topic, _), rows in outgoing.rows.items()
        }
        self.store.write(outgoing.users)
        self.overlay.settle()
        self.next_offsets = dict(outgoing.next_offsets)
        transaction.report()

    def sequence(self, user_id: str) -> list[int] | None:
        """Return the item keys of a user, None for a user who is not known."""
        user = self.overlay.peek(user_id)
        return None if user is None else list(user.state.item_keys)

    def metric(self, name: str) -> float:
        """Return the sum of a series over its labels."""
        lines = self.tools.metrics.render().decode().splitlines()
        values = [line.rsplit(" ", 1)[1] for line in lines if line.split("{")[0].split(" ")[0] == name]
        return sum(map(float, values))


def message(offset: int, topic: str = CLICKS, **fields: object) -> object:
    """Return a record of user u with these fields."""
    value = {"user_id": "u", "timestamp": START_MS + offset} | fields
    return raw(topic, offset, b"u", json.dumps(value).encode(), offset)


def erasure(offset: int, time_ms: int, user_id: str = "u") -> object:
    """Return an erasure, `time_ms` after the start."""
    return raw(ERASURES, offset, user_id.encode(), encode_erasure(Erasure(user_id, "r1")), time_ms)


def test_an_erasure_leaves_nothing_of_the_user_and_says_so() -> None:
    """State, exclusions and list are deleted in one transaction with the Erased record and the receipt."""
    world = World()
    world.commit(*[record(offset, "u", f"i{offset}") for offset in range(300)], record(300, "v"))
    stored = [key for key, _ in world.store.scan(b"u")]
    assert len(stored) == 3  # the state and two blocks of exclusions
    world.commit(erasure(0, 500))
    assert [key for key, _ in world.store.scan(b"u")] == []
    assert world.sequence("u") is None
    assert world.sequence("v") is not None
    assert world.overlay.stored_users == 1
    assert world.sent["recommendations"] == [(b"u", None)]
    ((key, value),) = world.sent["erasure-receipts"]
    receipt = decode_receipt(value or b"")
    assert (key, receipt.user_id, receipt.was_known, receipt.request_id) == (b"u", "u", True, "r1")
    assert receipt.positions == {ERASURES: (0, 0), CLICKS: (0, 300)}
    ((_, examples),) = world.sent["freshet-examples"]
    assert decode_examples(examples or b"").erased == [user_hash("freshet", "u")]
    assert world.metric("freshet_erasures_total") == 1


def test_what_is_older_than_the_erasure_is_dropped_whenever_it_comes() -> None:
    """By the records' own timestamps, in the same transaction and in later ones, after a restart as well."""
    world = World()
    world.commit(erasure(0, 10), record(0, "u", "a", time_ms=9), record(1, "u", "b", time_ms=10))
    assert world.sequence("u") == [item_key("b")]
    world.overlay = Overlay(world.store)
    world.commit(record(2, "u", "c", time_ms=3), record(3, "u", "d", time_ms=11))
    assert world.sequence("u") == [item_key("b"), item_key("d")]
    assert world.metric("freshet_erased_events_total") == 2
    assert world.metric("freshet_events_total") == 2


def test_who_comes_back_in_the_same_transaction_is_a_new_user() -> None:
    """Their list is made of what came after the erasure alone, and nothing deletes it."""
    world = World()
    world.commit(record(0, "u", "a", time_ms=0), record(1, "v", "b", time_ms=0))
    world.commit(record(2, "u", "c", time_ms=1), erasure(0, 5), record(3, "u", "d", time_ms=6))
    assert world.sequence("u") == [item_key("d")]
    ((key, value),) = world.sent["recommendations"]
    assert key == b"u"
    assert decode_list(value or b"").positions == {CLICKS: (0, 3)}
    assert world.overlay.stored_users == 2
    user = world.overlay.peek("u")
    assert user is not None
    assert not user.exclusions.contains(item_key("a"))


def test_an_erasure_that_is_not_durable_has_not_happened() -> None:
    """What is dropped after a failure leaves the user, and older records, as they were."""
    world = World()
    world.commit(record(0, "u", "a"))
    transaction = Transaction(0, world.next_offsets, world.overlay, world.tools)
    transaction.apply([erasure(0, 5)])
    world.overlay.clear()
    assert world.sequence("u") == [item_key("a")]
    assert not world.overlay.erasures


def test_erasing_whom_nobody_knows_is_answered() -> None:
    """The receipt says that nothing was known, and a tombstone goes out all the same."""
    world = World()
    world.commit(erasure(0, 5, "nobody"))
    assert not decode_receipt(world.sent["erasure-receipts"][0][1] or b"").was_known
    assert world.sent["recommendations"] == [(b"nobody", None)]
    assert world.overlay.stored_users == 0


def test_erasures_are_remembered_for_a_while_only() -> None:
    """The next erasure after a month takes the old ones out of the store."""
    world = World()
    world.commit(erasure(0, 5, "one"))
    assert world.overlay.erasures.time_ms(user_hash("freshet", "one"))
    world.commit(erasure(1, 6 + KEPT_MS, "two"))
    assert not world.overlay.erasures.time_ms(user_hash("freshet", "one"))
    assert not Overlay(world.store).erasures.time_ms(user_hash("freshet", "one"))
    assert Overlay(world.store).erasures.time_ms(user_hash("freshet", "two")) == START_MS + 6 + KEPT_MS


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (None, None),
        (b"", None),
        (b"\xff", None),
        (b"u", b"{"),
        (b"u", b'{"user_id": "v"}'),
        (b"x" * 257, None),
    ],
)
def test_what_is_no_erasure_is_refused(key: bytes | None, value: bytes | None) -> None:
    """A key that is no user id, or a value that says something else, erases nobody."""
    with pytest.raises(Refused):
        decode_erasure(key, value)
    world = World()
    world.commit(raw(ERASURES, 0, key, value))
    assert world.sent["dead-letters"] == [(key, value)]


def test_a_null_value_erases_its_key() -> None:
    """The key says it all."""
    assert decode_erasure(b"u", None) == Erasure("u")
    assert decode_erasure(b"u", b'{"user_id": "u"}') == Erasure("u")


def test_a_retraction_takes_an_item_out_of_the_sequence_and_of_what_is_excluded() -> None:
    """The list is published at the retraction's position; counters keep what they counted."""
    world = World()
    world.commit(
        message(0, item_id="a", event_id="e0"),
        message(1, item_id="b", event_id="e1"),
        message(2, item_id="b", event_id="e2"),
    )
    before = world.tools.recommender.counts.occurrences().tolist()
    world.commit(message(3, event_id="e0", retract=True), message(4, event_id="e1", retract=True))
    user = world.overlay.peek("u")
    assert user is not None
    assert list(user.state.item_keys) == [item_key("b")]
    assert not user.exclusions.contains(item_key("a"))
    assert user.exclusions.contains(item_key("b"))  # it was had twice
    assert decode_list(world.sent["recommendations"][0][1] or b"").positions == {CLICKS: (0, 4)}
    assert world.tools.recommender.counts.occurrences().tolist() == before
    assert world.metric("freshet_retractions_total") == 2


def test_a_purchase_that_is_taken_back_may_be_recommended_again() -> None:
    """Where purchases are excluded, clicks on the item do not keep it excluded."""
    world = World(msgspec.structs.replace(SETTINGS, exclude="purchased"))
    world.commit(message(0, item_id="a", event_id="c"), message(0, PURCHASES, item_id="a", event_id="p"))
    world.commit(message(1, PURCHASES, event_id="p", retract=True))
    user = world.overlay.peek("u")
    assert user is not None
    assert not user.exclusions.contains(item_key("a"))
    assert len(user.state) == 1


def test_a_retraction_without_a_match_is_counted_and_changes_nothing() -> None:
    """It makes no user, and no sequence shorter."""
    world = World()
    world.commit(message(0, event_id="e9", retract=True))
    assert world.sequence("u") is None
    assert world.metric("freshet_retractions_total") == 1
    world.commit(message(1, item_id="a", event_id="e1"), message(2, event_id="e9", retract=True))
    assert world.sequence("u") == [item_key("a")]
    assert world.overlay.stored_users == 1


def test_an_event_that_comes_in_two_records_counts_once() -> None:
    """The second one changes nothing but the position, in whichever source it comes."""
    world = World()
    world.commit(message(0, item_id="a", event_id="e0"), message(1, item_id="a", event_id="e0"))
    world.commit(message(0, PURCHASES, item_id="a", event_id="e0"))
    assert world.sequence("u") == [item_key("a")]
    assert world.tools.recommender.counts.occurrences().tolist() == [1]
    assert world.metric("freshet_duplicate_events_total") == 2
    newest = decode_list(world.sent["recommendations"][0][1] or b"")
    assert newest.positions == {CLICKS: (0, 1), PURCHASES: (0, 0)}


def test_examples_after_a_retraction_begin_with_the_history_that_is_left() -> None:
    """Who follows the log counts what comes next after what is left, as the owner does."""
    world = World()
    world.commit(
        message(0, item_id="a", event_id="e0"),
        message(1, event_id="e0", retract=True),
        message(2, item_id="b", event_id="e2"),
    )
    ((_, value),) = world.sent["freshet-examples"]
    examples = decode_examples(value or b"")
    assert [event.user for event in examples.events] == [0, 1]
    assert examples.histories[1].item_keys == []
