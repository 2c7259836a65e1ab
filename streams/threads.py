"""Blocking calls beside the event loop."""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from typing import Protocol, TypeVar

T = TypeVar("T")


class InThread(Protocol):
    """Calls something in a thread that was chosen before, such as the model's."""

    def __call__(self, call: Callable[..., T], *arguments: object) -> Awaitable[T]:
        """Return what the call returns."""


async def in_thread(call: Callable[..., T], *arguments: object, executor: Executor | None = None) -> T:
    """Call in a thread, of the executor if one is given; comes back only when the call has ended.

    Also when it is cancelled: what the call works on is never touched, or closed, while it goes on unseen.
    """
    ended = asyncio.get_running_loop().run_in_executor(executor, call, *arguments)
    try:
        return await asyncio.shield(ended)
    except asyncio.CancelledError:
        await asyncio.wait([ended])
        raise
