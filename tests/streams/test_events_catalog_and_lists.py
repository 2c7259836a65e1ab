"""Catalogue items and recommendation lists on the wire."""

import json

import pytest

from streams.events import (
    ItemListed,
    ItemRemoved,
    RecommendationList,
    RecommendedItem,
    Refused,
    decode_item,
    decode_list,
    encode_list,
)


def test_an_item_is_read_with_everything_it_says() -> None:
    """Every field of the catalogue's message is kept, and unknown ones are ignored."""
    message = {
        "item_id": "i1",
        "title": "Tea",
        "text": "Green.",
        "categories": ["drinks", "tea"],
        "brand": "Leaf",
        "attributes": {"weight": 100, "organic": True},
        "relations": [["made_in", "Uji"]],
        "maker": "2",
    }
    assert decode_item(b"i1", json.dumps(message).encode()) == ItemListed(
        item_id="i1",
        title="Tea",
        text="Green.",
        categories=["drinks", "tea"],
        brand="Leaf",
        attributes={"weight": 100, "organic": True},
        relations=[("made_in", "Uji")],
    )


def test_only_the_id_of_an_item_is_needed() -> None:
    """An item may be listed by an integer id alone, and null says no more than absence."""
    bare = ItemListed(item_id="7")
    nulls = dict.fromkeys(("title", "text", "categories", "brand", "attributes", "relations"))
    assert decode_item(b"7", b'{"item_id":7}') == bare
    assert decode_item(b"7", json.dumps({"item_id": 7} | nulls).encode()) == bare


def test_a_null_value_removes_an_item() -> None:
    """The key alone says which item is no longer listed."""
    assert decode_item("é".encode(), None) == ItemRemoved("é")


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        (None, None, "key"),
        (None, b'{"item_id":"i1"}', "key"),
        (b"", None, "key"),
        (b"\xff", None, "key"),
        (b"x" * 257, None, "key"),
        (b"i2", b'{"item_id":"i1"}', "key"),
        (b"\xff", b'{"item_id":"i1"}', "key"),
        (b"i1", b"", "json"),
        (b"i1", b'{"item_id":"i1"', "json"),
        (b"i1", b'{"item_id":"i1","x":NaN}', "json"),
        (b"i1", b'{"item_id":"i1","title":NaN}', "json"),
        (b"i1", b'{"item_id":"i1","title":"\\ud800"}', "json"),
        (b"i1", b'{"item_id":"i1","attributes":' + b"[" * 200_000, "json"),
        (b"i1", b'["i1"]', "object"),
        (b"i1", b"null", "object"),
        (b"i1", b"{}", "item_id"),
        (b"i1", b'{"item_id":null}', "item_id"),
        (b"true", b'{"item_id":true}', "item_id"),
        (b"1.5", b'{"item_id":1.5}', "item_id"),
        (b"", b'{"item_id":""}', "item_id"),
        (b"i1", b'{"item_id":"i1","title":5}', "title"),
        (b"i1", b'{"item_id":"i1","text":["a"]}', "text"),
        (b"i1", b'{"item_id":"i1","categories":"tea"}', "categories"),
        (b"i1", b'{"item_id":"i1","categories":["tea",5]}', "categories"),
        (b"i1", b'{"item_id":"i1","brand":{}}', "brand"),
        (b"i1", b'{"item_id":"i1","attributes":[]}', "attributes"),
        (b"i1", b'{"item_id":"i1","attributes":{"a":1e999}}', "attributes"),
        (b"i1", b'{"item_id":"i1","relations":[["a"]]}', "relations"),
        (b"i1", b'{"item_id":"i1","relations":[["a","b","c"]]}', "relations"),
        (b"i1", b'{"item_id":"i1","relations":[["a",1]]}', "relations"),
        (b"i1", b'{"item_id":"i1"}' + b" " * (1 << 20), "size"),
    ],
    ids=lambda value: repr(value)[:50],
)
def test_what_is_no_item_is_refused_by_its_field(key: bytes | None, value: bytes | None, reason: str) -> None:
    """Whatever is wrong with an item is said by the name of its field."""
    with pytest.raises(Refused) as caught:
        decode_item(key, value)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("fields", "detail"),
    [
        ('"categories":"tea"', "categories: expected a list, found a string"),
        ('"categories":["tea",5]', "categories[1]: expected a string, found an integer"),
        ('"categories":[null]', "categories[0]: expected a string, found null"),
        ('"title":true', "title: expected a string, found a boolean"),
        ('"attributes":[]', "attributes: expected an object, found a list"),
        ('"relations":[["a"]]', "relations[0]: expected a list of length 2"),
        ('"item_id":1.5', "item_id: expected an integer or a string, found a number"),
    ],
)
def test_what_is_wrong_with_an_item_is_said_in_words(fields: str, detail: str) -> None:
    """A refusal names what was expected and found as a person would, not as the decoder's types."""
    with pytest.raises(Refused) as caught:
        decode_item(b"i1", f'{{"item_id":"i1",{fields}}}'.encode())
    assert caught.value.detail == detail


LIST = RecommendationList(
    user_id="u1",
    made_at=1763880000123,
    event_time=1763880000101,
    model_version="7f3a:481",
    positions={"clicks": (3, 1207), "purchases": (3, 40)},
    items=[
        RecommendedItem(item_id="i9", score=0.31, title="Tea", reasons=["after i4", "rising"]),
        RecommendedItem(item_id="i8", score=0.25, reasons=[]),
    ],
)


def test_a_list_is_written_as_the_world_expects_it() -> None:
    """A list has exactly the names that its readers rely on; what is unknown or untrue is left out."""
    assert json.loads(encode_list(LIST)) == {
        "schema": 1,
        "user_id": "u1",
        "made_at": 1763880000123,
        "event_time": 1763880000101,
        "model_version": "7f3a:481",
        "positions": {"clicks": [3, 1207], "purchases": [3, 40]},
        "items": [
            {"item_id": "i9", "score": 0.31, "title": "Tea", "reasons": ["after i4", "rising"]},
            {"item_id": "i8", "score": 0.25, "reasons": []},
        ],
    }


def test_an_empty_list_and_a_republished_one_say_so() -> None:
    """A list without items still has its items, and one whose positions did not move is marked."""
    empty = RecommendationList(
        user_id="u1", made_at=1, event_time=1, model_version="a:0", positions={}, items=[], republished=True
    )
    written = json.loads(encode_list(empty))
    assert written["items"] == []
    assert written["positions"] == {}
    assert written["republished"] is True


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"schema": 2}, "schema"),
        ({"user_id": 5}, "user_id"),
        ({"made_at": "now"}, "made_at"),
        ({"positions": {"clicks": 5}}, "positions"),
        ({"items": [{"item_id": "i1"}]}, "items"),
        ({"items": [{"item_id": "i1", "score": None, "reasons": []}]}, "items"),
    ],
    ids=repr,
)
def test_what_is_no_list_is_refused_by_its_field(change: dict[str, object], reason: str) -> None:
    """A reader of lists learns which field is not what it should be."""
    with pytest.raises(Refused) as caught:
        decode_list(json.dumps(json.loads(encode_list(LIST)) | change).encode())
    assert caught.value.reason == reason


def test_a_list_that_lacks_a_field_is_refused_by_it() -> None:
    """A missing field is named like a wrong one."""
    fields = json.loads(encode_list(LIST))
    del fields["event_time"]
    with pytest.raises(Refused) as caught:
        decode_list(json.dumps(fields).encode())
    assert caught.value.reason == "event_time"
