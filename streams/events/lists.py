"""Recommendation lists on the wire."""

from typing import ClassVar

import msgspec

from streams.events.items import refusal_of
from streams.events.reading import UNREADABLE, salvage, text_of


class RecommendedItem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A place in a list; `score` is finite, `reasons` say in words why the item is there."""

    item_id: str
    score: float
    title: str | None = None
    reasons: list[str]


class RecommendationList(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="schema", tag=1
):
    """What a user is recommended, best first; times are milliseconds since the epoch.

    `positions` are (partition, offset) of the highest applied offset of this user in each source topic.
    """

    schema: ClassVar[int] = 1
    user_id: str
    made_at: int
    event_time: int
    model_version: str
    positions: dict[str, tuple[int, int]]
    items: list[RecommendedItem]
    republished: bool = False


class _Place(msgspec.Struct):
    item_id: str


class _Places(msgspec.Struct):
    items: list[_Place]


_decode = msgspec.json.Decoder(RecommendationList).decode
_decode_places = msgspec.json.Decoder(_Places).decode
_encode = msgspec.json.Encoder().encode


def encode_list(recommendations: RecommendationList) -> bytes:
    """Return the message of a list; its key is the user id."""
    return _encode(recommendations)


def decode_list(value: bytes) -> RecommendationList:
    """Read a list; raises Refused, whose reason names the field."""
    text = text_of(value)
    try:
        return _decode(text)
    except UNREADABLE as error:
        _, flaw = salvage(text)
        raise flaw or refusal_of(error) from None


def decode_item_ids(value: bytes) -> list[str]:
    """Return what a list recommends, best first, and read nothing else of it; raises msgspec.DecodeError."""
    return [place.item_id for place in _decode_places(value).items]
