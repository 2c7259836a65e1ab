"""From bytes to JSON values, or to the true reason why not.

msgspec reads what is well-formed, fast. What it does not read goes to the standard library, which is slower
but tells what is not JSON from what is JSON that msgspec cannot represent (1e999, half a surrogate pair, an
integer of 5,000 digits): there the field that holds it is to blame, and an unknown field is ignored as ever.
"""

import json
from typing import Any

from streams.events.refusal import Refused, shown

MAXIMUM_BYTES = 1 << 20
# Whatever its field, an integer of more digits is refused; so reading these many of them is enough.
LONGEST_INTEGER = 400

# What msgspec raises for bytes that it cannot read.
UNREADABLE = (ValueError, RecursionError)


def text_of(value: bytes) -> str:
    """Return a record's value as text; raises Refused with reason "size" or "json"."""
    if len(value) > MAXIMUM_BYTES:
        raise Refused("size", f"size: expected at most {MAXIMUM_BYTES} bytes, found {len(value)}")
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise Refused("json", f"json: expected UTF-8, found other bytes at byte {error.start}") from None


def salvage(text: str) -> tuple[dict[str, Any], Refused | None]:
    """Read a JSON object that msgspec could not; raises Refused with reason "json" or "object".

    The second part is a refusal for the caller to raise if it finds no field to blame: NaN and Infinity are
    no JSON, but a refusal that names their field says more.
    """
    constants: list[str] = []

    def constant(name: str) -> float:
        constants.append(name)
        return float(name)

    def integer(digits: str) -> int:
        return int(digits[:LONGEST_INTEGER])

    try:
        tree = json.loads(text, parse_constant=constant, parse_int=integer)
    except json.JSONDecodeError as error:
        raise Refused("json", f"json: expected JSON, found {_complaint(text, error)}") from None
    except RecursionError:
        raise Refused("json", "json: expected JSON, found lists or objects nested too deeply") from None
    if not isinstance(tree, dict):
        raise Refused("object", f"object: expected a JSON object, found {shown(tree)}")
    flaw = Refused("json", f"json: expected JSON, found {constants[0]}") if constants else None
    return tree, flaw


def _complaint(text: str, error: json.JSONDecodeError) -> str:
    if not text.strip():
        return "no text at all"
    if text.startswith("\ufeff"):
        return "a byte order mark"
    return f"an error at character {error.pos}: {error.msg}"
