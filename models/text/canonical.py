"""The text of an item as it is encoded, and the hash that it is known by."""

from collections.abc import Iterable
from hashlib import blake2b

CHARACTERS = 400
"""The longest text that is encoded: more than an encoder's 64 tokens hold of most languages."""

HASH_BYTES = 16
_SHOUTED = 0.7  # of a part's cased letters: above it, capitals say nothing


def text_of(title: str, text: str = "", categories: Iterable[str] = (), brand: str = "") -> str:
    """Return "title. categories. text", at most CHARACTERS long; "" for an item that says nothing.

    Without a title the brand stands for it. Otherwise it is left out: as two brands of the same thing have
    one text, they are one text group, and an item that nobody touched has neighbours of every brand. A
    part that is mostly capitals is lower-cased: it says the same as in a quieter catalogue.
    """
    parts = (title or brand, ", ".join(filter(None, map(_tidy, categories))), text)
    return ". ".join(filter(None, map(_tidy, parts)))[:CHARACTERS].rstrip()


def text_hash(text: str) -> bytes:
    """Return the 16 bytes that tell a text from every other: the same in every process."""
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=HASH_BYTES).digest()


def _tidy(part: str) -> str:
    """Return a part with single blanks and not in capitals; only as much is looked at as can matter."""
    tidy = " ".join(part[: 4 * CHARACTERS].split())
    return tidy.lower() if _is_shouted(tidy) else tidy


def _is_shouted(part: str) -> bool:
    upper = sum(map(str.isupper, part))
    return upper > _SHOUTED * (upper + sum(map(str.islower, part)))
