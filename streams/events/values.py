"""What a field may hold: ids, times, amounts."""

import math
import re
from datetime import UTC, datetime, timedelta
from typing import Literal

from streams.events.mapping import Field
from streams.events.refusal import Refused

ID_BYTES = 256
AN_ID = f"a string of 1 to {ID_BYTES} bytes or an integer"

DAY_MS = 86_400_000
# Below it a number is seconds (the year 5138), from it on milliseconds (March 1973).
FIRST_MILLISECONDS = 10**11
# No number of seconds or milliseconds up to the year 5138 is beyond it, and it survives a float.
LARGEST_TIME = 10**15
A_TIME = "seconds, milliseconds or ISO 8601"

TimestampUnit = Literal["auto", "seconds", "milliseconds"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
# The extended format and the basic one, which needs its T: eight digits alone would rather be a number.
_ISO_8601 = re.compile(
    r"\d{4}-\d\d-\d\d(?:[Tt ]\d\d:\d\d(?::\d\d(?:[.,]\d{1,9})?)?(?:[Zz]|[+-]\d\d(?::?\d\d)?)?)?"
    r"|\d{8}[Tt]\d{4}(?:\d\d(?:[.,]\d{1,9})?)?(?:[Zz]|[+-]\d\d(?:\d\d)?)?",
    re.ASCII,
)


def identifier(found: object, field: Field) -> str:
    """Return an id as text: a string of 1 to 256 UTF-8 bytes, or an integer; else raises Refused."""
    if type(found) is str:
        text = found
    elif type(found) is int and found.bit_length() <= 8 * ID_BYTES:
        text = str(found)
    else:
        raise field.refuse(AN_ID, found)
    try:
        length = len(text.encode())
    except UnicodeEncodeError:
        raise field.refuse("a string of whole Unicode characters", found) from None
    if not 0 < length <= ID_BYTES:
        raise Refused(field.name, f"{field.path}: expected {AN_ID}, found {length} bytes")
    return text


def event_time_ms(found: object, field: Field, unit: TimestampUnit, record_timestamp_ms: int) -> int:
    """Return the time of an event, or the Kafka record's where it has none: milliseconds since the epoch.

    A number below 10^11 is seconds, from there on milliseconds, unless the unit is given. ISO 8601 without a
    zone is UTC. Raises Refused for another type, a time before 1970 or more than a day ahead of the record's.
    """
    if found is None:
        time_ms = record_timestamp_ms
    elif type(found) is int or type(found) is float:
        if not 0 <= found <= LARGEST_TIME:  # neither is NaN
            raise field.refuse("a time since 1970", found)
        if unit == "milliseconds" or (unit == "auto" and found >= FIRST_MILLISECONDS):
            time_ms = int(found)
        else:
            time_ms = round(found * 1000)
    elif type(found) is str:
        time_ms = _iso_8601_ms(found, field)
    else:
        raise field.refuse(A_TIME, found)
    if time_ms < 0:
        raise field.refuse("a time since 1970", found)
    if time_ms > record_timestamp_ms + DAY_MS:
        raise field.refuse(f"at most a day ahead of the record's own time ({record_timestamp_ms} ms)", found)
    return time_ms


def _iso_8601_ms(text: str, field: Field) -> int:
    if not _ISO_8601.fullmatch(text):
        raise field.refuse(A_TIME, text)
    try:
        time = datetime.fromisoformat(text.upper().replace(",", "."))
    except ValueError:  # the form is right, but there is no 30 February
        raise field.refuse(A_TIME, text) from None
    if time.tzinfo is None:
        time = time.replace(tzinfo=UTC)
    return (time - _EPOCH) // _MILLISECOND


def finite(found: object, field: Field) -> float | None:
    """Return a finite number, or None for none; raises Refused for anything else."""
    if found is None:
        return None
    if type(found) is float or type(found) is int:
        try:
            number = float(found)
        except OverflowError:
            number = math.inf
        if math.isfinite(number):
            return number
    raise field.refuse("a finite number", found)
