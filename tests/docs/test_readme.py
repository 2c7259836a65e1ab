"""What the README shows to a newcomer works as it stands there."""

import re
from pathlib import Path

from streams.events import InteractionDecoder, decode_list
from streams.settings import load_settings

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
NOW_MS = 1_763_880_000_000


def block(kind: str) -> str:
    """Return the page's only block of code of this kind."""
    (text,) = re.findall(rf"^```{kind}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    assert isinstance(text, str)
    return text


def test_the_order_becomes_what_the_page_says(tmp_path: Path) -> None:
    """With the page's settings the page's order makes two purchases of one user, with the lines' values."""
    file = tmp_path / "freshet.toml"
    file.write_text(block("toml"), encoding="utf-8")
    settings = load_settings(file, environment={})
    assert settings.broker_is_configured
    lines = InteractionDecoder("orders", settings.sources["orders"]).decode(
        b"97", block("json order").encode(), NOW_MS
    )
    assert [(line.user_id, line.item_id, line.action, line.value) for line in lines] == [
        ("97", "i276", "purchase", 4.5),
        ("97", "i791", "purchase", 12.0),
    ]


def test_the_list_is_one(tmp_path: Path) -> None:
    """The page's list is taken by the decoder of lists, and its positions are in the page's own topics."""
    recommendations = decode_list(block("json list").encode())
    file = tmp_path / "freshet.toml"
    file.write_text(block("toml"), encoding="utf-8")
    assert set(recommendations.positions) == set(load_settings(file, environment={}).sources)


def test_the_picture_is_there() -> None:
    """The picture of the demo exists."""
    (picture,) = re.findall(r"!\[[^]]*\]\(([^)]+)\)", README)
    assert (ROOT / picture).stat().st_size > 0
