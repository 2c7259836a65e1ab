"""What the catalogue's message says of an item, as the model takes it."""

from models.content import Description
from streams.events import ItemListed


def description_of(item: ItemListed) -> Description:
    """Return the description of an item that is listed."""
    return Description(
        title=item.title,
        text=item.text,
        categories=item.categories,
        brand=item.brand,
        attributes=item.attributes,
        relations=item.relations,
    )
