"""What the catalogue says of one item, and the attributes that are read from it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

_YEAR_BEHIND = re.compile(r"\((\d{4})\)\s*$")
_YEAR = "year"
_LONGEST_VALUE = 200  # characters


@dataclass(frozen=True, slots=True)
class Description:
    """An item as it is listed; `relations` are (relation, entity)."""

    title: str = ""
    text: str = ""
    categories: Sequence[str] = ()
    brand: str = ""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    relations: Sequence[tuple[str, str]] = ()


def shared_of(item: Description) -> list[tuple[str, str]]:
    """Return (name, value): what the item has in common with others, each category by itself."""
    found = [("category", category) for category in item.categories]
    found += [("brand", item.brand)]
    found += [
        (name, str(value)) for name, value in item.attributes.items() if isinstance(value, str | int | float)
    ]
    year = _YEAR_BEHIND.search(item.title)
    if year and _YEAR not in item.attributes:
        found.append((_YEAR, year[1]))
    return [(name, value[:_LONGEST_VALUE]) for name, value in found if value]


def attributes_of(item: Description) -> dict[str, str]:
    """Return name -> value: what items can have in common.

    All categories together, the last of several, the brand, whatever attribute is a text or a number, the
    first entity of each relation, and a year that stands in brackets behind the title. Titles are among them,
    too, as many shops list what differs only in size under one.
    """
    found: dict[str, str] = {}
    if item.categories:
        found["categories"] = " / ".join(item.categories)
        if len(item.categories) > 1:
            found["category"] = item.categories[-1]
    found["brand"] = item.brand
    for name, value in item.attributes.items():
        if isinstance(value, str | int | float):
            found[name] = str(value)
    for relation, entity in item.relations:
        found.setdefault(relation, entity)
    year = _YEAR_BEHIND.search(item.title)
    if year:
        found.setdefault(_YEAR, year[1])
    found["title"] = item.title
    return {name: value[:_LONGEST_VALUE] for name, value in found.items() if value}
