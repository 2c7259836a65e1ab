"""What the doctor says of one thing."""

from collections.abc import Callable

from msgspec import Struct

from streams.connection import kafka_errors
from streams.errors import FreshetError
from streams.settings import Settings


class Check(Struct, frozen=True):
    """What was found, and what to do about it; where `ok`, advice is None or something to know.

    What could not be `checked` is not ok, for nothing is known.
    """

    name: str
    ok: bool
    found: str
    advice: str | None = None
    checked: bool = True


def failed(name: str, error: FreshetError) -> Check:
    """Return the check that an error is: what is wrong before its first semicolon, what to do after it."""
    found, _, advice = str(error).partition("; ")
    return Check(name, ok=False, found=found, advice=advice or "mend it, then run `freshet doctor` again")


def not_checked(name: str, why: str, first: str) -> Check:
    """Return a check that could not be made, and the name of the one that has to be ok first."""
    advice = f"first mend what {first!r} says"
    return Check(name, ok=False, found=f"not checked: {why}", advice=advice, checked=False)


def attempt(name: str, settings: Settings, look: Callable[[], Check]) -> Check:
    """Return what `look` finds, or the check that Kafka's failure is."""
    try:
        with kafka_errors(settings):
            return look()
    except FreshetError as error:
        return failed(name, error)
