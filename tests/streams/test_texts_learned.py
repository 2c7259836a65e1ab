"""What texts are near to which, through the recommender: restarts, and items that say something else."""

import random
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from models.arrays import NONE
from models.checkpoint import decode_checkpoint, encode_checkpoint
from streams.encoding import TextEncoding, open_encoding
from streams.events import ItemListed
from streams.learned import restore, snapshot
from streams.metrics import Metrics
from streams.recommender import Recommender
from streams.settings import Settings

SETTINGS = Settings(device="cpu", interest="off", encoder="ngrams")
WORDS = ("red", "blue", "green", "black", "garden", "kitchen", "wood", "steel", "folding", "chair", "lamp")
ITEMS = 400


def listed(number: int, says: str = "") -> ItemListed:
    """Return an item with a text of its own."""
    words = random.Random(number).choices(WORDS, k=4)
    return ItemListed(f"i{number}", title=f"{' '.join(words)} {number}", text=says)


def opened(directory: Path, settings: Settings = SETTINGS) -> tuple[Recommender, TextEncoding]:
    """Return a recommender that has its texts encoded."""
    recommender, texts = Recommender(settings), open_encoding(settings, directory, Metrics())
    assert texts is not None
    recommender.assortment.read_texts(texts)
    return recommender, texts


def saved(recommender: Recommender) -> bytes:
    """Return a checkpoint."""
    return encode_checkpoint(*snapshot(recommender))


def restarted(checkpoint: bytes, directory: Path) -> tuple[Recommender, TextEncoding]:
    """Return one that goes on from a checkpoint of another."""
    other, texts = opened(directory)
    restore(other, *decode_checkpoint(checkpoint))
    return other, texts


def lists(recommender: Recommender) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Return a copy of the neighbours and similarities of every text."""
    assert recommender.assortment.content is not None
    tables = recommender.assortment.content.tables
    return tables.near.copy(), tables.nearness.copy()


def test_lists_are_whole_from_the_first_moment_of_a_restart(tmp_path: Path) -> None:
    """While texts are read again no list has a neighbour less, and at the end all are as they were."""
    recommender, texts = opened(tmp_path)
    for number in range(ITEMS):
        recommender.assortment.enlist(listed(number))
    texts.drain()
    near, nearness = lists(recommender)
    assert (near[:ITEMS] >= 0).all()
    again, theirs = restarted(saved(recommender), tmp_path)
    for number in range(ITEMS):
        again.assortment.enlist(listed(number))
    assert theirs.waiting == ITEMS
    while theirs.waiting:
        theirs._take(theirs._next(32))
        np.testing.assert_allclose(lists(again)[1], nearness, atol=1e-6)
    assert [set(row) for row in lists(again)[0].tolist()] == [set(row) for row in near.tolist()]


def test_a_restart_with_other_vectors_finds_other_neighbours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lists that another encoder gave serve until a text is encoded, and then leave nothing behind."""
    recommender, texts = opened(tmp_path)
    for number in range(ITEMS):
        recommender.assortment.enlist(listed(number))
    texts.drain()
    content = recommender.assortment.content
    assert content is not None
    content.tables.nearness[:ITEMS] = 1.0  # nearer than this encoder will find any
    near, checkpoint, expected = lists(recommender)[0], saved(recommender), lists_made_at_once(tmp_path)
    monkeypatch.setattr("models.text.ngrams.NgramEncoder.name", "other")
    again, theirs = restarted(checkpoint, tmp_path)
    assert np.array_equal(lists(again)[0], near)
    for number in range(ITEMS):
        again.assortment.enlist(listed(number))
    theirs.drain()
    np.testing.assert_allclose(lists(again)[1][:ITEMS], expected, atol=1e-6)


def neighbours_by_item(recommender: Recommender) -> dict[int, tuple[set[int], NDArray[np.float32]]]:
    """Return whose texts are nearest to each listed item's, and how near; no two items have one text."""
    content, (near, nearness) = recommender.assortment.content, lists(recommender)
    assert content is not None
    texts = content.tables.texts.values[0]
    items = {int(texts[row]): row for row in content.listed}
    return {
        row: ({items[text] for text in near[text].tolist() if text >= 0}, nearness[text])
        for text, row in items.items()
    }


def test_texts_that_no_item_has_any_more_are_near_to_nothing(tmp_path: Path) -> None:
    """Whatever items said before, and what removed ones say, crowds nobody out, nor after a restart."""
    recommender, texts = opened(tmp_path)
    rng = random.Random(4)
    says = dict.fromkeys(range(ITEMS), "")
    for number in range(ITEMS):
        recommender.assortment.enlist(listed(number))
    for change in range(300):
        number = 5 if change % 2 else rng.randrange(ITEMS)
        if change % 7 == 0:
            recommender.assortment.remove(f"i{number}")
            says.pop(number, None)
        else:
            says[number] = "" if change % 5 == 0 else f"only {change} left"
            recommender.assortment.enlist(listed(number, says[number]))
        if change % 3 == 0:
            texts._take(texts._next(32))
        if change == 200:
            texts.drain()
            recommender, texts = restarted(saved(recommender), tmp_path)
            for each, told in says.items():
                recommender.assortment.enlist(listed(each, told))
    texts.drain()
    plain, their_texts = opened(tmp_path)
    for number in range(ITEMS):
        plain.assortment.enlist(listed(number, says.get(number, "")))
        if number not in says:
            plain.assortment.remove(f"i{number}")
    their_texts.drain()
    ours, theirs = neighbours_by_item(recommender), neighbours_by_item(plain)
    assert ours.keys() == theirs.keys() == says.keys()
    for row, (items, nearness) in theirs.items():
        np.testing.assert_allclose(ours[row][1], nearness, atol=1e-6)
        assert len(ours[row][0] & items) >= 19  # the last may be one of two that are as near
    content = recommender.assortment.content
    assert content is not None
    used = set(content.tables.texts.values[0].tolist()) - {NONE}
    assert set(texts.groups.numbers().tolist()) == used


def test_numbers_of_texts_do_not_grow_with_messages(tmp_path: Path) -> None:
    """A number that no item has is another text's, of which nothing is known before it is encoded."""
    settings = Settings(device="cpu", interest="on", encoder="ngrams")
    recommender, texts = opened(tmp_path, settings)
    assortment = recommender.assortment
    for change in range(40):
        for number in range(3):
            assortment.enlist(listed(number, f"only {change} left"))
        content, words = assortment.content, assortment._words
        assert content is not None
        assert words is not None
        rows = np.arange(3, dtype=np.int32)
        mine = content.tables.texts.values[0, :3]
        assert not words.of(rows).any()
        assert (content.tables.near[mine] == NONE).all()
        texts.drain()
        assert words.of(rows).any(axis=1).all()
        assert np.isin(content.tables.near[mine][:, :2], mine).all()
        assert (content.tables.near[:, 2:] == NONE).all()
    assert len(texts.groups) == 3
    assert len(texts.groups.hashes()) == 6


def lists_made_at_once(directory: Path) -> NDArray[np.float32]:
    """Return the similarities of ITEMS items in a worker that never restarts."""
    recommender, texts = opened(directory)
    for number in range(ITEMS):
        recommender.assortment.enlist(listed(number))
    texts.drain()
    return lists(recommender)[1][:ITEMS]
