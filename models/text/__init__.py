"""What items say of themselves: texts to vectors, kept on disk, and the nearest texts of each text."""

from models.text.canonical import HASH_BYTES, text_hash, text_of
from models.text.groups import TextNeighbours
from models.text.neighbours import NEAREST, NONE, Found, NeighbourSearch

__all__ = [
    "HASH_BYTES",
    "NEAREST",
    "NONE",
    "Found",
    "NeighbourSearch",
    "TextNeighbours",
    "text_hash",
    "text_of",
]
