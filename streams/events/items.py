"""Catalogue items on the wire."""

import re
from typing import Any

import msgspec

from streams.events.mapping import Field
from streams.events.reading import UNREADABLE, salvage, text_of
from streams.events.refusal import Refused, shown, shown_key
from streams.events.values import identifier

_ITEM_ID = Field("item_id", "item_id", ("item_id",), None)
_KEY = Field("key", "key", ("key",), None)


class ItemListed(msgspec.Struct, frozen=True, omit_defaults=True):
    """The catalogue's word on an item; `relations` are (relation, entity)."""

    item_id: str
    title: str = ""
    text: str = ""
    categories: list[str] = []
    brand: str = ""
    attributes: dict[str, Any] = {}
    relations: list[tuple[str, str]] = []


class ItemRemoved(msgspec.Struct, frozen=True):
    """The catalogue no longer lists this item."""

    item_id: str


class _Message(msgspec.Struct):
    """An item as it may come: an id that is an integer, null for nothing."""

    item_id: str | int | None = None
    title: str | None = None
    text: str | None = None
    categories: list[str] | None = None
    brand: str | None = None
    attributes: dict[str, Any] | None = None
    relations: list[tuple[str, str]] | None = None


_TYPES = re.compile(r"`([a-z]+(?: \| [a-z]+)*)`")
_WORDS = {
    "array": "a list",
    "bool": "a boolean",
    "float": "a number",
    "int": "an integer",
    "object": "an object",
    "str": "a string",
}

_decode = msgspec.json.Decoder(_Message).decode
_encode = msgspec.json.Encoder().encode


def encode_item(item: ItemListed) -> bytes:
    """Return the message of an item; its key is the item id."""
    return _encode(item)


def decode_item(key: bytes | None, value: bytes | None) -> ItemListed | ItemRemoved:
    """Read a record of the items topic, a null value removes; raises Refused."""
    if value is None:
        return ItemRemoved(_id_of(key))
    message = _read(value)
    item_id = identifier(message.item_id, _ITEM_ID)
    if key != item_id.encode():
        raise Refused(
            "key", f"key: expected the text of the item id {shown(item_id)}, found {shown_key(key)}"
        )
    return ItemListed(
        item_id=item_id,
        title=message.title or "",
        text=message.text or "",
        categories=message.categories or [],
        brand=message.brand or "",
        attributes=message.attributes or {},
        relations=message.relations or [],
    )


def _id_of(key: bytes | None) -> str:
    try:
        return identifier(None if key is None else key.decode(), _KEY)
    except UnicodeDecodeError:
        raise Refused("key", "key: expected the text of an item id, found no UTF-8") from None


def _read(value: bytes) -> _Message:
    text = text_of(value)
    try:
        return _decode(text)
    except UNREADABLE as error:
        _, flaw = salvage(text)
        raise flaw or refusal_of(error) from None


def _in_words(types: re.Match[str]) -> str:
    """Say the types that msgspec names in words; null, which means nothing was said, is not told."""
    names = [name for name in types[1].split(" | ") if name != "null"] or ["null"]
    return " or ".join(_WORDS.get(name, name) for name in names)


def refusal_of(error: Exception) -> Refused:
    """Turn msgspec's complaint about well-formed JSON into a refusal that names the outermost field."""
    complaint = _TYPES.sub(_in_words, str(error)).replace(", got ", ", found ")
    wrong = re.fullmatch(r"(.)(.*) - at `\$\.((\w+).*)`", complaint, re.DOTALL)
    if wrong:
        return Refused(wrong[4], f"{wrong[3]}: {wrong[1].lower()}{wrong[2]}")
    missing = re.search(r"missing required field `(\w+)`", complaint)
    if missing:
        return Refused(missing[1], f"{missing[1]}: expected a value, found nothing")
    return Refused("json", "json: expected whole Unicode characters, found half of a surrogate pair")
