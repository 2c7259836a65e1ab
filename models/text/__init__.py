"""What items say of themselves: texts to vectors, kept on disk, and the nearest texts of each text."""

from models.text.canonical import HASH_BYTES, text_hash, text_of
from models.text.encoders import AUTO, NGRAMS, TextEncoder, load_encoder
from models.text.errors import EncoderError
from models.text.groups import TextGroups
from models.text.neighbours import NEAREST, Found, NeighbourSearch
from models.text.store import VectorStore

__all__ = [
    "AUTO",
    "HASH_BYTES",
    "NEAREST",
    "NGRAMS",
    "EncoderError",
    "Found",
    "NeighbourSearch",
    "TextEncoder",
    "TextGroups",
    "VectorStore",
    "load_encoder",
    "text_hash",
    "text_of",
]
