"""The decoders of what users send, and of what Freshet sends them."""

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import msgspec

from models.catalog import item_key
from streams.errors import FreshetError
from streams.events import (
    ACTIONS,
    Erasure,
    Interaction,
    InteractionDecoder,
    ItemListed,
    Receipt,
    RecommendationList,
    RecommendedItem,
    Refused,
    decode_erasure,
    decode_item,
    decode_list,
    decode_receipt,
    encode_erasure,
    encode_interaction,
    encode_item,
    encode_list,
    encode_receipt,
)
from streams.item_ids import _item_id, encode_key
from streams.logs import read_items, read_log, read_relations
from streams.settings import Source, SourceFields
from tests.fuzz.outcome import Check, agree, attempt

NOW_MS = 1_763_880_000_000
DAY_MS = 86_400_000

# Every way in which a field can be found, shared by lines or in them, and every unit and word.
SOURCES = {
    "clicks": Source(),
    "nested fields": Source(
        fields=SourceFields(
            "user.id", "event.item.id", "event.at", "event.amount", "kind", "event.id", "undo.it"
        ),
        timestamp_unit="milliseconds",
    ),
    "orders": Source(
        action="purchase",
        fields=SourceFields("user_id", "lines[].sku", "at", "lines[].price", "kind", "order.id", "undone"),
        actions={"buy": "purchase", "look": "click"},
        timestamp_unit="seconds",
    ),
    "orders by line": Source(
        fields=SourceFields(
            "user.id", "lines[].sku", "lines[].at", "price", "lines[].kind", "lines[].id", "lines[].undone"
        ),
    ),
    "orders with an id": Source(
        fields=SourceFields(
            "user_id", "order.lines[].sku", event_id="order.id", retract="order.lines[].undone"
        ),
    ),
    "baskets": Source(fields=SourceFields(item_id="skus[]", action="kind"), timestamp_unit="seconds"),
}

MESSAGES = tuple(
    message.encode()
    for message in r"""
{"user_id": "u1", "item_id": "i1", "timestamp": 1763880000000}
{"user_id": 17, "item_id": 18446744073709551616, "value": 2.5, "event_id": "e", "action": "cart"}
{"user_id": "u1", "item_id": "i1", "timestamp": "2025-11-23T06:40:00.5Z", "retract": false, "more": [[{}]]}
{"user_id": "u1", "event_id": "e1", "retract": true}
{"user_id": "ü", "item_id": "\ud83d\ude00", "timestamp": 1763880000.123}
{"user_id": "u1", "item_id": "i1", "value": NaN, "x": 1e999}
{"user_id": "u1", "item_id": "\ud800", "timestamp": 0}
{"user": {"id": "u1"}, "event": {"item": {"id": 4}, "at": 1763880000000, "amount": -1}, "kind": "click"}
{"user": {"id": "u1"}, "event": {"id": 9}, "undo": {"it": true}}
{"user_id": "u1", "lines": [{"sku": "a", "price": 1}, {"sku": 2}], "at": 1763880000, "kind": "buy"}
{"user_id": "u1", "order": {"id": 1}, "undone": true}
{"user": {"id": "u1"}, "lines": [{"sku": "a", "at": "20251123T0640", "id": 1}, {"id": 2, "undone": true}]}
{"user_id": "u1", "order": {"id": 7, "lines": [{"sku": "a", "undone": true}, {"sku": "b", "undone": null}]}}
{"user_id": "u1", "skus": ["a", 5, "ü"], "kind": "click", "timestamp": 1763880000.25}
""".strip().split("\n")
)


def interactions(source: Source) -> Check:
    """Return the check of a source's messages: what is taken is valid and survives Freshet's own encoding."""
    decoder, plain = InteractionDecoder("topic", source), InteractionDecoder("plain", Source())

    def check(data: bytes) -> bool:
        key = _key_of(data)
        taken = attempt(lambda: decoder.decode(key, data, NOW_MS), Refused)
        for line in taken or ():
            if isinstance(line, Interaction):
                assert 0 <= line.timestamp_ms <= NOW_MS + DAY_MS
                assert line.action in ACTIONS
                assert 1 <= len(line.item_id.encode()) <= 256
                agree("an interaction", [line], plain.decode(key, encode_interaction(line), NOW_MS))
            assert line.user_id.encode() == key
        assert taken is None or 1 <= len(taken) <= 1000
        return taken is not None

    return check


def _key_of(data: bytes) -> bytes:
    """Return the key that a message's user would have: else nothing got past the comparison of the two."""
    try:
        tree = json.loads(data)
        user = tree.get("user_id", tree.get("user"))
        return str(user["id"] if isinstance(user, dict) else user).encode()
    except (ValueError, RecursionError, AttributeError, KeyError, UnicodeEncodeError):
        return b"u1"


ITEMS = tuple(
    encode_item(item)
    for item in (
        ItemListed("i1"),
        ItemListed(
            "i1",
            "A title",
            "Text",
            ["c", "d"],
            "Brand",
            {"size": 4, "of": {"it": [1.5, None]}},
            [("by", "x")],
        ),
    )
)


def items(data: bytes) -> bool:
    """Check an item: it survives its encoding."""
    item = attempt(lambda: decode_item(b"i1", data), Refused)
    if isinstance(item, ItemListed):
        agree("an item", item, decode_item(b"i1", encode_item(item)))
    return item is not None


LISTS = (
    encode_list(
        RecommendationList(
            user_id="u1",
            made_at=NOW_MS,
            event_time=NOW_MS,
            model_version="w:1",
            positions={"clicks": (3, 7)},
            items=[RecommendedItem(item_id="i", score=0.5, title="t", reasons=["after x"])],
            republished=True,
        )
    ),
)


def lists(data: bytes) -> bool:
    """Check a list: it survives its encoding."""
    found = attempt(lambda: decode_list(data), Refused)
    if found is not None:
        agree("a list", found, decode_list(encode_list(found)))
    return found is not None


ERASURES = (
    b"",
    b"{}",
    encode_erasure(Erasure("u1", "r1")),
    encode_receipt(
        Receipt(user_id="u1", requested_at=1, erased_at=2, was_known=True, positions={"clicks": (0, 3)})
    ),
)


def erasures(data: bytes) -> bool:
    """Check an erasure, whose key is half of it, and a receipt."""
    found = [attempt(lambda key=key: decode_erasure(key, data), Refused) for key in (b"u1", data, None)]
    for erasure in found:
        if erasure is not None:
            assert len((erasure.request_id or "").encode()) <= 256
            agree("an erasure", erasure, decode_erasure(erasure.user_id.encode(), encode_erasure(erasure)))
    receipt = attempt(lambda: decode_receipt(data), ValueError)
    if receipt is not None:
        agree("a receipt", receipt, decode_receipt(encode_receipt(receipt)))
    return receipt is not None or any(found)


ITEM_IDS = (b"i1", "ü".encode(), b"17")


def item_ids(data: bytes) -> bool:
    """Check the topic of item ids: a record is an id with its own key, or is passed over."""
    try:
        key = encode_key(item_key(data.decode()))
    except UnicodeDecodeError:
        key = data[:8]
    found = _item_id(SimpleNamespace(key=key, value=data))
    assert found is None or found.encode() == data
    assert _item_id(SimpleNamespace(key=data, value=None)) is None
    return found is not None


_SCRATCH = tempfile.TemporaryDirectory()
LOG_LINES = (
    b"user_id,item_id,timestamp,action,value,event_id\n"
    b'u1,i1,1763880000000,click,2.5,e\nu1,"i,2",2025-11-23T06:40:00Z,,,\n',
    b'{"user_id":"u1","item_id":"i1","timestamp":1763880000000}\n'
    b'{"user_id":1,"item_id":2,"timestamp":3,"value":4}\n',
    b'{"item_id":"i1","title":"t","colour":"red"}\n',
    b"head,relation,tail\nitem:i1,by,brand:x\nitem:i1,with,item:i2\n",
)


def log_lines(data: bytes) -> bool:
    """Check files of events, items and relations: lines are taken, or said to be bad, or the file is."""
    file = Path(_SCRATCH.name) / "log"
    file.write_bytes(data)
    readers: tuple[Callable[[], object], ...] = (
        lambda: list(read_log(file, on_bad_line=str)),
        lambda: list(read_log(file)),
        lambda: list(read_items(file, on_bad_line=str)),
        lambda: read_relations(file, on_bad_line=str),
    )
    found = [attempt(reader, FreshetError) for reader in readers]
    for interaction in found[0] or ():
        assert isinstance(interaction, Interaction)
        msgspec.json.encode(interaction)
    return any(each is not None for each in found)
