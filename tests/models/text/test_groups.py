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
