"""Text groups: what has which number."""

from models.arrays import NONE
from models.text import TextGroups, text_hash


def test_equal_texts_are_one_group() -> None:
    """A text that is admitted twice keeps its number, and a text that never was has none."""
    texts = TextGroups()
    groups = [texts.admit(text_hash(text)) for text in ("milk", "bread", "milk")]
    assert groups == [0, 1, 0]
    assert len(texts) == 2
    assert texts.group(text_hash("bread")) == 1
    assert texts.group(text_hash("cheese")) == NONE


def test_a_number_that_is_given_back_is_given_to_another_text() -> None:
    """The lowest free number is next, also after a restart; a text that is back gets a new one."""
    texts, again = TextGroups(), TextGroups()
    for text in ("milk", "bread", "cheese", "wine"):
        texts.admit(text_hash(text))
    for group in (2, 0, 0):
        texts.give_back(group)
    assert texts.group(text_hash("milk")) == NONE
    assert texts.numbers().tolist() == [1, 3]
    assert again.adopt(texts.hashes())
    for each in (texts, again):
        assert len(each) == 2
        assert [each.admit(text_hash(text)) for text in ("beer", "wine", "milk", "tea")] == [0, 3, 2, 4]
    assert (texts.hashes() == again.hashes()).all()
    assert not again.adopt(texts.hashes())
