"""Texts beside the stream: groups at once, vectors and neighbours later, nothing encoded twice."""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from models.arrays import NONE
from models.text import EncoderError, Found, VectorStore, text_hash
from streams import encoding
from streams.encoding import TextEncoding
from streams.metrics import Metrics
from tests.models.text.lists import Lists

DEADLINE_SECONDS = 20


class Letters:
    """An encoder that counts letters, and remembers what it was asked."""

    name = "letters"
    dimensions = 26

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.may_go_on = threading.Event()
        self.may_go_on.set()

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return float32[n, 26]."""
        assert self.may_go_on.wait(DEADLINE_SECONDS)
        self.asked += texts
        counts = [[text.count(chr(ord("a") + letter)) for letter in range(26)] for text in texts]
        vectors = np.array(counts, np.float32).reshape(len(texts), 26)
        return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1)


class Failing(Letters):
    """An encoder that fails with errors, one a call, before it works."""

    def __init__(self, *errors: Exception) -> None:
        super().__init__()
        self.errors = list(errors)

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Fail, or encode."""
        if self.errors:
            raise self.errors.pop(0)
        return super().encode(texts)


@pytest.fixture
def model_thread() -> Iterator[ThreadPoolExecutor]:
    """Return what stands for the model's thread."""
    with ThreadPoolExecutor(1, "model") as executor:
        yield executor


def made(
    directory: Path, encoder: Letters, on_found: Callable[[Found], None] = lambda _: None
) -> TextEncoding:
    """Return an encoding with a store in a directory."""
    store = VectorStore(directory, encoder.name, encoder.dimensions)
    return TextEncoding(encoder, store, Metrics(), on_found)


def sample(texts: TextEncoding, name: str) -> float:
    """Return the value of a series."""
    value = texts._metrics.registry.get_sample_value(name)
    assert value is not None
    return value


def test_equal_texts_are_one_group_and_encoded_once(tmp_path: Path) -> None:
    """Items with one text share its group; an item without a text has none."""
    encoder = Letters()
    lists = Lists(2)
    texts = made(tmp_path, encoder, lists.take)
    assert [texts.submit(text) for text in ("abba", "", "cab", "abba")] == [0, NONE, 1, 0]
    assert texts.waiting == 2
    texts.drain()
    assert texts.submit("abba") == 0
    assert sorted(encoder.asked) == ["abba", "cab"]
    assert texts.waiting == 0
    assert lists.neighbours[:, 0].tolist() == [1, 0]
    assert lists.similarities[:, 0] == pytest.approx([4 / 24**0.5] * 2, abs=1e-3)


def test_a_restart_encodes_nothing(tmp_path: Path) -> None:
    """The next process has the very same neighbours without one call of the encoder."""
    words = [f"{chr(97 + n % 26) * 3}{chr(97 + n * 7 % 26)}{chr(97 + n * n % 26)}" for n in range(700)]
    lists, later = Lists(700), Lists(700)
    first, encoder = made(tmp_path, Letters(), lists.take), Letters()
    for word in words:
        first.submit(word)
    first.drain()
    first.stop()
    again = made(tmp_path, encoder, later.take)
    for word in words:
        again.submit(word)
    again.drain()
    assert encoder.asked == []
    assert sample(again, "freshet_texts_known_total") == len(again.groups)
    assert np.array_equal(later.similarities, lists.similarities)


def test_beside_the_stream_everything_is_taken_in_by_the_models_thread(
    tmp_path: Path, model_thread: ThreadPoolExecutor
) -> None:
    """What was found arrives in the model's thread, whole, and the metrics say so."""
    names, lists, done = set(), Lists(100), threading.Event()

    def on_found(found: Found) -> None:
        lists.take(found)
        names.add(threading.current_thread().name)
        if texts.waiting == 0:
            done.set()

    texts = made(tmp_path, Letters(), on_found)
    texts.start(model_thread.submit)
    model_thread.submit(lambda: [texts.submit("a" * n + "b") for n in range(100)]).result()
    assert done.wait(DEADLINE_SECONDS)
    texts.stop()
    assert {name.split("_")[0] for name in names} == {"model"}
    assert (lists.neighbours != NONE).all()
    assert sample(texts, "freshet_texts_encoded_total") == 100
    assert sample(texts, "freshet_text_waiting") == 0
    assert sample(texts, "freshet_text_seconds_count") == 100


def test_the_newest_come_first(tmp_path: Path, model_thread: ThreadPoolExecutor) -> None:
    """A text that arrives while many wait is in the next portion, before all of them."""
    encoder, done = Letters(), threading.Event()
    encoder.may_go_on.clear()
    texts = made(tmp_path, encoder, lambda _: done.set() if texts.waiting == 0 else None)
    for number in range(200):
        texts.submit(f"old {number}")
    texts.start(model_thread.submit)
    model_thread.submit(texts.submit, "new").result()
    encoder.may_go_on.set()
    assert done.wait(DEADLINE_SECONDS)
    texts.stop()
    assert encoder.asked.index("new") <= encoding.ENCODED
    assert encoder.asked.index("old 150") < encoder.asked.index("old 0")


def test_stopping_does_not_wait_for_what_waits(tmp_path: Path, model_thread: ThreadPoolExecutor) -> None:
    """A stop comes after the portion in hand; what was encoded until then is on disk."""
    encoder = Letters()
    encoder.may_go_on.clear()
    texts = made(tmp_path, encoder)
    for number in range(1000):
        texts.submit(f"text {number}")
    texts.start(model_thread.submit)
    threading.Timer(0.05, encoder.may_go_on.set).start()
    texts.stop()
    assert len(encoder.asked) < 1000
    assert len(VectorStore(tmp_path, encoder.name, encoder.dimensions)) == len(encoder.asked)


def test_without_an_encoder_the_stream_goes_on(
    tmp_path: Path, model_thread: ThreadPoolExecutor, caplog: pytest.LogCaptureFixture
) -> None:
    """Texts stay without vectors and are not kept, the log says why, and groups are given as before."""
    texts = made(tmp_path, Failing(EncoderError("no weights in model.safetensors")))
    with caplog.at_level(logging.ERROR):
        texts.start(model_thread.submit)
        model_thread.submit(texts.submit, "a").result()
        assert texts._thread is not None
        texts._thread.join(DEADLINE_SECONDS)
    assert texts.failure == "texts are no longer encoded: no weights in model.safetensors"
    assert "texts are no longer encoded, 1 wait" in caplog.text
    assert "no weights in model.safetensors" in caplog.text
    assert [texts.submit("b"), texts.waiting, bool(texts._queue)] == [1, 2, False]
    texts.stop()


def test_a_portion_that_fails_is_tried_again(
    tmp_path: Path,
    model_thread: ThreadPoolExecutor,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """After errors of encoder, disk and model's thread that pass, every text has its vector."""
    monkeypatch.setattr(encoding, "FIRST_PAUSE_SECONDS", 0.01)
    encoder, done = Failing(RuntimeError("CUDA out of memory"), ValueError("again")), threading.Event()
    disk, model, failures = [OSError("a bad sector")], [RuntimeError("not now")], set[str | None]()

    def on_found(found: Found) -> None:
        failures.add(texts.failure)
        if len(found.groups) and model:
            raise model.pop()
        if texts.waiting == 0:
            done.set()

    texts = made(tmp_path, encoder, on_found)
    get = texts._store.get

    def get_at_last(hashes: Sequence[bytes]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        if disk:
            raise disk.pop()
        return get(hashes)

    monkeypatch.setattr(texts._store, "get", get_at_last)
    words = [f"{'a' * number}b" for number in range(100)]
    for word in words:
        texts.submit(word)
    with caplog.at_level(logging.INFO):
        texts.start(model_thread.submit)
        assert done.wait(DEADLINE_SECONDS)
        texts.stop()
    assert sorted(encoder.asked) == sorted(words)
    for error in ("CUDA out of memory", "again", "a bad sector", "not now"):
        assert f"{error}')" in caplog.text
    assert "texts wait, the last try failed: ValueError('again')" in failures
    assert texts.failure is None
    assert caplog.text.count("texts are encoded again") == 1


def test_pauses_grow_to_a_minute_and_end_with_a_stop(
    tmp_path: Path, model_thread: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that has an error again and again asks ever more seldom, and stops at once all the same."""
    pauses, texts = [], made(tmp_path, Failing(*map(RuntimeError, range(9))))

    def pausing(seconds: float) -> bool:
        pauses.append(seconds)
        return len(pauses) == 9

    monkeypatch.setattr(texts._queue, "is_stopped_within", pausing)
    texts.submit("a")
    texts.start(model_thread.submit)
    assert texts._thread is not None
    texts._thread.join(DEADLINE_SECONDS)
    texts.stop()
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    held = made(tmp_path, Failing(RuntimeError("once")))
    held.submit("a")
    held.start(model_thread.submit)
    while held.failure is None:
        time.sleep(0.01)
    started = time.monotonic()
    held.stop()
    assert time.monotonic() - started < 0.9
    assert held.waiting == 1


def test_a_full_disk_costs_the_next_start_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Vectors that the disk does not take are used all the same."""
    lists = Lists(2)
    texts = made(tmp_path, Letters(), lists.take)

    def full(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(texts._store, "put", full)
    assert [texts.submit("ab"), texts.submit("ba")] == [0, 1]
    texts.drain()
    assert lists.neighbours[0, 0] == 1
    assert lists.vectors[0][:2] == pytest.approx([0.5**0.5] * 2, abs=1e-3)


def test_what_waits_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Beyond the bound new texts get no group, which is said once; later they are taken again."""
    monkeypatch.setattr(encoding, "MOST_WAITING", 2)
    texts = made(tmp_path, Letters())
    with caplog.at_level(logging.WARNING):
        assert [texts.submit(text) for text in ("a", "b", "c", "d", "a")] == [0, 1, NONE, NONE, 0]
    assert caplog.text.count("wait to be encoded") == 1
    texts.drain()
    assert texts.submit("c") == 2


def test_what_a_checkpoint_knows_is_not_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though too many texts wait, one that had a group keeps it, and is encoded when it comes again."""
    monkeypatch.setattr(encoding, "MOST_WAITING", 1)
    texts = made(tmp_path, Letters())
    assert texts.groups.adopt(np.array([list(text_hash(text)) for text in ("a", "b")], np.uint8))
    assert [texts.submit(text) for text in ("a", "b", "c")] == [0, 1, NONE]
    assert texts.waiting == 1
    texts.drain()
    assert texts.submit("b") == 1
    assert texts.waiting == 1


def test_progress_is_told(tmp_path: Path) -> None:
    """Whoever drains hears how many texts are done, up to all of them."""
    texts, told = made(tmp_path, Letters()), []
    for number in range(1200):
        texts.submit(f"text {number}")
    texts.drain(lambda done, total: told.append((done, total)))
    assert told[-1] == (1200, 1200)
    assert told == sorted(told)
    assert len(told) > 2
