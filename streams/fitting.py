"""What goes out, cut to what its topic takes: a larger record would be refused, and block those behind it."""

import msgspec

from streams.events import RecommendationList, encode_list

ENVELOPE_BYTES = 4 * 2**10  # what a dead letter's headers and its batch need at most
LIST_BYTES = 2**20 - ENVELOPE_BYTES  # a topic that nobody configured takes no larger record


def fitting_list(recommendations: RecommendationList) -> bytes:
    """Return a list's bytes, without its last items where no topic would take it whole."""
    value = encode_list(recommendations)
    while len(value) > LIST_BYTES and recommendations.items:
        best = recommendations.items[: len(recommendations.items) // 2]
        recommendations = msgspec.structs.replace(recommendations, items=best)
        value = encode_list(recommendations)
    return value


def fitting_letter(
    key: bytes | None, value: bytes | None, message_bytes: int
) -> tuple[bytes | None, bytes | None, list[tuple[str, bytes]]]:
    """Return key and value of a dead letter, and a header where they were cut.

    A record that came compressed may be of any size; `message_bytes` is the largest batch that is taken.
    """
    room = message_bytes - ENVELOPE_BYTES
    size = len(key or b"") + len(value or b"")
    if size <= room:
        return key, value, []
    key = key and key[:room]
    value = value and value[: room - len(key or b"")]
    return key, value, [("cut-from-bytes", str(size).encode())]
