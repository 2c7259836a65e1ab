"""The catalogue of an evaluation: what is listed, whether that makes candidates, and twins of every item."""

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from streams.events import ItemListed

_ORDER_SEED = 11
_TWIN = "{item_id}~twin{number}"


@dataclass(frozen=True, slots=True)
class Listing:
    """Items in an order that tells nothing; `is_open`: they can be recommended before their first event."""

    items: Sequence[ItemListed] = ()
    is_open: bool = False


def listing_of(
    items: Iterable[ItemListed],
    relations: Mapping[str, Sequence[tuple[str, str]]],
    is_open: bool,
    twins: int,
) -> Listing:
    """Return what is listed before the first event of a log.

    Where a catalogue is made of what occurs in the log, whatever is listed is sure to be taken once, which no
    shop knows. So every item gets `twins` that say the same and never occur. Their order is drawn by a fixed
    seed, as that of a file may tell what came first.
    """
    listed = []
    for item in items:
        related = [*item.relations, *relations.get(item.item_id, ())]
        listed.append(msgspec.structs.replace(item, relations=related) if related else item)
        for number in range(1, twins + 1):
            twin = _TWIN.format(item_id=item.item_id, number=number)
            listed.append(msgspec.structs.replace(listed[-number], item_id=twin))
    random.Random(_ORDER_SEED).shuffle(listed)  # noqa: S311 - an order, no secret
    return Listing(listed, is_open)
