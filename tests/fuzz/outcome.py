"""What may come of any bytes: a value, or a refusal by name. Nothing else, and not later than soon."""

import faulthandler
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TypeVar

Check = Callable[[bytes], bool]
"""Decode bytes and judge the outcome; return whether they gave a value."""

Value = TypeVar("Value")
LONGEST_COMPLAINT = 100_000  # characters: whoever logs a refusal does not log a record


def attempt(decode: Callable[[], Value], *refusals: type[Exception]) -> Value | None:
    """Return what a decoder returns, None if it refuses; raises whatever else it raises."""
    try:
        return decode()
    except refusals as refused:
        complaint = str(refused)
        if not 0 < len(complaint) <= LONGEST_COMPLAINT:
            raise AssertionError(f"a refusal of {len(complaint)} characters") from refused
        return None


def agree(what: str, one: object, other: object) -> None:
    """Raise AssertionError if a value and what became of it differ; NaN is like itself."""
    if one != other and repr(one) != repr(other):
        raise AssertionError(f"{what}: {one!r:.300} became {other!r:.300}")


@contextmanager
def soon(seconds: int) -> Iterator[None]:
    """Fail, with every thread's stack, what takes so long that it must be hanging."""

    def give_up(_: int, __: FrameType | None) -> None:
        faulthandler.dump_traceback()
        raise AssertionError(f"not done after {seconds} s")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
