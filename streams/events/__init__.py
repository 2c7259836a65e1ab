"""The wire: interactions, catalogue items, recommendation lists, dead letters; decode and refuse."""

from streams.events.interactions import (
    ACTIONS,
    Interaction,
    InteractionDecoder,
    encode_interaction,
)
from streams.events.items import ItemListed, ItemRemoved, decode_item, encode_item
from streams.events.lists import RecommendationList, RecommendedItem, decode_list, encode_list
from streams.events.refusal import Refused, dead_letter_headers
from streams.settings import ActionName

__all__ = [
    "ACTIONS",
    "ActionName",
    "Interaction",
    "InteractionDecoder",
    "ItemListed",
    "ItemRemoved",
    "RecommendationList",
    "RecommendedItem",
    "Refused",
    "dead_letter_headers",
    "decode_item",
    "decode_list",
    "encode_interaction",
    "encode_item",
    "encode_list",
]
