"""Brings the texts of items to vectors and neighbours, beside the stream or all at once."""

import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from itertools import compress
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from models.arrays import Floats, Rows
from models.text import (
    EncoderError,
    Found,
    NeighbourSearch,
    TextEncoder,
    TextGroups,
    VectorStore,
    load_encoder,
    text_hash,
)
from streams.device import device_of
from streams.errors import ConfigurationError, FreshetError
from streams.metrics import Metrics
from streams.settings import Settings
from streams.text_queue import TextQueue, WaitingText

OFF = "off"
MOST_WAITING = 250_000
LOOKED_UP = 256  # texts whose vectors are read from disk at once
ENCODED = 32  # texts that are encoded at once beside the stream
ENCODED_ALONE = 512
FIRST_PAUSE_SECONDS = 1.0  # after an error, twice as long after each that follows it
LONGEST_PAUSE_SECONDS = 60.0
_NICENESS = 10  # measured on two busy cores: the model keeps nine tenths of its pace, at 5 two thirds

log = logging.getLogger(__name__)

OnFound = Callable[[Found], None]
OnProgress = Callable[[int, int], None]


def open_encoding(settings: Settings, directory: Path, metrics: Metrics) -> "TextEncoding | None":
    """Return the encoding of texts with vectors in a directory, None where it is off.

    Raises ConfigurationError for an encoder that cannot be loaded, FreshetError for a directory that cannot
    be written.
    """
    if settings.encoder == OFF or not settings.content:
        return None
    try:
        encoder = load_encoder(settings.encoder, device_of(settings))
        return TextEncoding(encoder, VectorStore(directory, encoder.name, encoder.dimensions), metrics)
    except EncoderError as error:
        raise wrong_encoder(settings, error) from None
    except OSError as error:
        raise FreshetError(f"cannot keep vectors of texts in {directory}: {error}") from None


def wrong_encoder(settings: Settings, error: EncoderError) -> ConfigurationError:
    """Return what is wrong with an encoder as what is wrong with the setting that names it."""
    return ConfigurationError(f"encoder = {settings.encoder!r}: {error}")


class Post(Protocol):
    """Calls something in the model's thread, as `Executor.submit` does."""

    def __call__(self, call: OnFound, found: Found, /) -> Future[None]:
        """Return what tells when the call has ended."""


class TextEncoding:
    """Texts in, groups out at once; their vectors and neighbours come later.

    `submit` and `groups` belong to the model's thread. Between `start` and `stop` a thread of its own looks
    texts up on disk, encodes those that nobody encoded before and finds neighbours, the newest texts first;
    the model's thread takes in what it finds. Without `start`, `drain` does the same in the caller's thread.

    A portion that fails is tried again, later and later; only without an encoder it is over.
    """

    def __init__(
        self,
        encoder: TextEncoder,
        store: VectorStore,
        metrics: Metrics,
        on_found: OnFound = lambda _: None,
    ) -> None:
        """`on_found` is called in the model's thread with what was found."""
        self.groups = TextGroups()
        self.failure: str | None = None  # why texts wait, or will wait for ever; any thread may read it
        self._encoder = encoder
        self._store = store
        self._search = NeighbourSearch(encoder.dimensions)
        self._metrics = metrics
        self.on_found = on_found
        self._queue = TextQueue()
        self._submitted: set[int] = set()  # groups; others are known from a checkpoint alone, or have no item
        self._waiting: set[int] = set()  # of these, those whose vectors were not taken in yet
        self._leaving: set[int] = set()  # groups that were let go and are in lists yet
        self._is_refusing = False
        self._thread: threading.Thread | None = None
        metrics.text_waiting.set_function(lambda: self.waiting)

    @property
    def waiting(self) -> int:
        """How many texts have no vector yet."""
        return len(self._waiting)

    def submit(self, text: str) -> int:
        """Return the group of a text, -1 for "", and for an unknown one while MOST_WAITING others wait.

        One that a checkpoint knows keeps its group and its neighbours then; newcomers are not compared with
        it until its text is submitted again.
        """
        hashed = text_hash(text)
        group = self.groups.group(hashed)
        if group in self._submitted or not text:
            return group
        if self.waiting >= MOST_WAITING:
            self._refuse()
            return group
        group = self.groups.admit(hashed)
        self._submitted.add(group)
        self._waiting.add(group)
        self._queue.submit(group, hashed, text)
        return group

    def let_go(self, group: int, is_held: bool) -> None:
        """Say that a group has no listed item: it is nobody's neighbour until its text is submitted again.

        `is_held`: it keeps its own list, for an item that was removed. Others lose theirs, and are then among
        the `forgotten` of what is found. One whose text waits cannot be let go before it was found.
        """
        if group not in self._waiting and group not in self._leaving:
            self._submitted.discard(group)
            self._leaving.add(group)
            self._queue.depart(group, is_held)

    def give_back(self, group: int) -> bool:
        """Let another text have the number of one that was forgotten; False if its text is back."""
        if group in self._waiting or group in self._leaving:
            return False
        self.groups.give_back(group)
        return True

    @property
    def encoder_name(self) -> str:
        """Return what tells the vectors from those of any other encoder."""
        return self._encoder.name

    def resume(self, hashes: NDArray[np.uint8], near: Rows, nearness: Floats, encoder_name: str) -> bool:
        """Go on from uint8[G, HASH_BYTES] hashes of groups and from their lists, before `start`.

        int32[G, NEAREST] neighbours and float32[G, NEAREST] similarities of this encoder, by its name, are
        kept and become exact again; those of another serve until a group's text is encoded. Returns False,
        and leaves everything, where there are groups.
        """
        is_fresh = self.groups.adopt(hashes)
        if is_fresh:
            self._search.resume(near, nearness, encoder_name != self.encoder_name)
        return is_fresh

    def start(self, post: Post) -> None:
        """Begin to work beside the stream; `post` calls in the model's thread."""
        self._thread = threading.Thread(target=self._work, args=(post,), name="text", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End after the portion in hand and close the store; the model's thread must still answer meanwhile.

        What waits is dropped: the catalogue is read again at the next start.
        """
        self._queue.stop()
        if self._thread is not None:
            self._thread.join()
        self._store.close()

    def drain(self, on_progress: OnProgress = lambda _done, _total: None) -> None:
        """Work in this thread until there is nothing to do; raises EncoderError."""
        total = self.waiting
        while self._queue or self._search.is_short:
            self._take(self._next(ENCODED_ALONE))
            if total:
                on_progress(total - self.waiting, total)

    def _work(self, post: Post) -> None:
        """Work until it is stopped, or until there is no encoder."""
        _give_way()
        found: Found | None = None  # and not taken in yet
        pause = FIRST_PAUSE_SECONDS
        while found or self._queue.wait(lambda: self._search.is_short):
            missing = self._queue.missing
            try:
                found = found or self._next(ENCODED)
                post(self._take, found).result()
            except EncoderError as error:
                self._give_up(error)
                return
            except Exception as error:
                self._complain(error, pause)
                if self._queue.is_stopped_within(pause):
                    return
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
                continue
            found = None
            if self._queue.missing < max(missing, 1):  # texts on disk say nothing of the encoder
                pause = FIRST_PAUSE_SECONDS
                if self.failure:
                    log.info("texts are encoded again, %d wait", self.waiting)
                self.failure = None

    def _complain(self, error: Exception, pause: float) -> None:
        """Say what went wrong, and when it is tried again."""
        self.failure = f"texts wait, the last try failed: {error!r}"
        again = "%s; %d wait, the next try is in %g s"
        log.warning(again, self.failure, self.waiting, pause, exc_info=error)

    def _give_up(self, error: EncoderError) -> None:
        """Say that no text will be encoded, and keep none."""
        self.failure = f"texts are no longer encoded: {error}"
        log.exception("texts are no longer encoded, %d wait; the stream goes on without", self.waiting)
        self._queue.close()

    def _next(self, encoded: int) -> Found:
        """Do the most urgent of what there is to do, and last make lists whole again; raises what fails.

        What was to be done waits then as before.
        """
        work = self._queue.take(LOOKED_UP, encoded)
        try:
            if work.departures:
                groups, are_held = zip(*work.departures, strict=True)
                return self._search.remove(np.array(groups, np.int32), np.array(are_held, np.bool_))
            if work.arrived:
                return self._look_up(work.arrived)
            return self._encode(work.missing) if work.missing else self._search.refill()
        except Exception:
            self._queue.put_back(work)
            raise

    def _look_up(self, texts: Sequence[WaitingText]) -> Found:
        """Find the neighbours of those whose vectors are on disk; the others go on to wait."""
        vectors, is_known = self._store.get([text.hashed for text in texts])
        found = self._find(list(compress(texts, is_known)), vectors[is_known])
        self._queue.miss(compress(texts, ~is_known))
        self._metrics.texts_known.inc(int(is_known.sum()))
        return found

    def _encode(self, texts: Sequence[WaitingText]) -> Found:
        """Find the neighbours of texts that were never encoded."""
        vectors = self._encoder.encode([text.text for text in texts])
        vectors = vectors.astype(np.float16).astype(np.float32)  # as they will be found on disk
        try:
            self._store.put([text.hashed for text in texts], vectors)
        except OSError as error:
            log.warning("%d vectors are not kept, a restart makes them again: %s", len(texts), error)
        self._metrics.texts_encoded.inc(len(texts))
        return self._find(texts, vectors)

    def _find(self, texts: Sequence[WaitingText], vectors: Floats) -> Found:
        groups = np.array([text.group for text in texts], np.int32)
        found = self._search.add(groups, vectors)
        now = time.monotonic()
        for text in texts:
            self._metrics.text_seconds.observe(now - text.since)
        return found

    def _take(self, found: Found) -> None:
        """Take in what was found, in the model's thread."""
        self._waiting.difference_update(found.groups.tolist())
        self._leaving.difference_update(found.removed.tolist())
        self.on_found(found)

    def _refuse(self) -> None:
        if not self._is_refusing:
            self._is_refusing = True
            log.warning(
                "%d texts wait to be encoded: items with unknown texts come without, until listed again",
                MOST_WAITING,
            )


def _give_way() -> None:
    """Let the model's thread go first; only Linux knows priorities of threads."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
