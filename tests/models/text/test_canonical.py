"""The text of an item: what it says, once, of bounded length."""

from hypothesis import given
from hypothesis import strategies as st

from models.text import HASH_BYTES, text_hash, text_of
from models.text.canonical import CHARACTERS


def test_title_categories_and_text_are_said_in_this_order() -> None:
    """A text is "title. categories. text", with single blanks."""
    text = text_of(" Toy \n Story", "A cowboy doll.", ["Animation", " ", "Children's"], "Pixar")
    assert text == "Toy Story. Animation, Children's. A cowboy doll."


def test_brands_of_one_thing_share_its_text() -> None:
    """A brand is only said where there is no title."""
    assert text_of("Milk", brand="A") == text_of("Milk", brand="B") == "Milk"
    assert text_of("", categories=["Dairy"], brand="Farm") == "Farm. Dairy"


def test_shouted_texts_are_lower_cased() -> None:
    """A part that is mostly capitals is what it is in lower case; a few capitals stay."""
    assert text_of("APPLE SAUCE", categories=["GROCERY"]) == "apple sauce. grocery"
    assert text_of("Milk", categories=["DAIRY"]) == "Milk. dairy"
    assert text_of("The IBM PC jr") == "The IBM PC jr"
    assert text_of("東京 2020") == "東京 2020"


def test_an_item_that_says_nothing_has_no_text() -> None:
    """Blanks and empty categories are no text."""
    assert text_of(" ", "\n", ["", "  "], "") == ""


@given(st.text(), st.text(max_size=500), st.lists(st.text()), st.text())
def test_texts_are_bounded_and_have_a_hash(title: str, text: str, categories: list[str], brand: str) -> None:
    """Whatever an item says, lone surrogates included, its text is of bounded length and can be hashed."""
    said = text_of(title, text, categories, brand)
    assert len(said) <= CHARACTERS
    assert len(text_hash(said)) == HASH_BYTES
    assert said == text_of(title, text, categories, brand)
