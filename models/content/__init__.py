"""What the catalogue says of items: attributes that many share, texts, and items that never occurred."""

from models.content.content import Content
from models.content.description import Description

__all__ = ["Content", "Description"]
