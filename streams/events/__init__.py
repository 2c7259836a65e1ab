"""The wire: interactions, catalogue items, recommendation lists, dead letters; decode and refuse."""

from streams.events.erasures import (
    Erasure,
    Receipt,
    decode_erasure,
    decode_receipt,
    encode_erasure,
    encode_receipt,
)
from streams.events.interactions import (
    ACTIONS,
    Interaction,
    InteractionDecoder,
    Line,
    Retraction,
    encode_interaction,
)
from streams.events.items import ItemListed, ItemRemoved, decode_item, encode_item
from streams.events.lists import (
    RecommendationList,
    RecommendedItem,
    decode_item_ids,
    decode_list,
    encode_list,
)
from streams.events.refusal import Refused, dead_letter_headers
from streams.settings import ActionName

__all__ = [
    "ACTIONS",
    "ActionName",
    "Erasure",
    "Interaction",
    "InteractionDecoder",
    "ItemListed",
    "ItemRemoved",
    "Line",
    "Receipt",
    "RecommendationList",
    "RecommendedItem",
    "Refused",
    "Retraction",
    "dead_letter_headers",
    "decode_erasure",
    "decode_item",
    "decode_item_ids",
    "decode_list",
    "decode_receipt",
    "encode_erasure",
    "encode_interaction",
    "encode_item",
    "encode_list",
    "encode_receipt",
]
