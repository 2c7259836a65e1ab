"""Why a record was refused, and the dead letter's headers that say so."""

DETAIL_BYTES = 300
SHOWN_CHARACTERS = 40


class Refused(Exception):  # noqa: N818 - it is an outcome of decoding, not a defect of the program
    """A record that cannot be taken.

    `reason` is a short code of low cardinality: the name of the field that is to blame, or "json", "object",
    "size", "key", "lines". `detail` is one sentence of at most 300 bytes: the field, what was expected, what
    was found; never the whole value.
    """

    def __init__(self, reason: str, detail: str) -> None:
        # A lone surrogate can reach this sentence through a field's name or an error's text.
        encoded = detail.encode("utf-8", "backslashreplace")
        if len(encoded) > DETAIL_BYTES:
            encoded = encoded[: DETAIL_BYTES - 3].decode("utf-8", "ignore").encode() + b"..."
        self.reason = reason
        self.detail = encoded.decode()
        super().__init__(f"{reason}: {self.detail}")


def shown(found: object) -> str:
    """Describe a decoded JSON value in a few words, whatever its size."""
    if found is None:
        return "nothing"
    if isinstance(found, bool):
        return "true" if found else "false"
    if isinstance(found, int):
        # Python refuses to print an integer of more than 4,300 digits.
        return str(found) if found.bit_length() <= 128 else f"an integer of {found.bit_length()} bits"
    if isinstance(found, str):
        return repr(found) if len(found) <= SHOWN_CHARACTERS else f"{found[:SHOWN_CHARACTERS]!r}..."
    if isinstance(found, dict | list):
        return "an object" if isinstance(found, dict) else "a list"
    return str(found)


def shown_key(key: bytes | None) -> str:
    """Describe a record's key in a few words."""
    return "no key" if key is None else shown(key.decode("utf-8", "backslashreplace"))


def dead_letter_headers(
    refused: Refused, topic: str, partition: int, offset: int, timestamp_ms: int
) -> list[tuple[str, bytes]]:
    """Return the headers of a dead letter; its key and value are the refused record's own, untouched.

    The position is the refused record's, `timestamp_ms` its Kafka timestamp.
    """
    headers = {
        "reason": refused.reason,
        "source-topic": topic,
        "source-partition": partition,
        "source-offset": offset,
        "source-timestamp": timestamp_ms,
        "detail": refused.detail,
    }
    return [(name, str(text).encode()) for name, text in headers.items()]
