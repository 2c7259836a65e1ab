"""docs/topics.md is what readers and writers of the topics go by, so it must not be out of step."""

import re
from pathlib import Path

import msgspec

from streams.events import (
    ACTIONS,
    Interaction,
    InteractionDecoder,
    ItemListed,
    RecommendationList,
    RecommendedItem,
    Refused,
    dead_letter_headers,
    decode_item,
    decode_list,
)
from streams.settings import Settings, Source, SourceFields, load_settings
from streams.topics import plan_topics
from streams.topics.planning import DAY_MS

PAGE = (Path(__file__).parents[2] / "docs" / "topics.md").read_text(encoding="utf-8")
NOW_MS = 1_763_880_000_000


def block(kind: str) -> str:
    """Return the page's block of code of this kind."""
    (text,) = re.findall(rf"```{kind}\n(.*?)```", PAGE, re.DOTALL)
    assert isinstance(text, str)
    return text


def section(title: str) -> str:
    """Return what stands below a heading, down to the next of its rank."""
    return PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]


def first_cells(text: str) -> set[str]:
    """Return every `word` in the first column of a section's tables."""
    rows = re.findall(r"^\| (`[^|]*) \|", text, re.MULTILINE)
    return {word for row in rows for word in re.findall(r"`([^`]+)`", row)}


def test_the_documented_messages_are_real() -> None:
    """Each example on the page is taken by the decoder that it is an example of."""
    (interaction,) = InteractionDecoder("clicks", Source()).decode(
        b"u1", block("json interaction").encode(), NOW_MS + 200
    )
    assert interaction == Interaction("u1", "i4", "cart", NOW_MS + 101, 2.0, "e17")
    item = decode_item(b"i4", block("json item").encode())
    assert isinstance(item, ItemListed)
    assert item.relations == [("made_in", "Uji")]
    recommendations = decode_list(block("json list").encode())
    assert recommendations.positions["clicks"] == (3, 1207)


def test_the_documented_mappings_are_real(tmp_path: Path) -> None:
    """The example of the settings loads, and its mappings can be followed."""
    file = tmp_path / "freshet.toml"
    file.write_text(block("toml"), encoding="utf-8")
    sources = load_settings(file, environment={}).sources
    assert set(sources) == {"orders", "activity"}
    for topic, source in sources.items():
        InteractionDecoder(topic, source)
    order = b'{"customer":{"id":7},"placed_at":"2025-11-23","lines":[{"sku":"a","quantity":2}]}'
    (line,) = InteractionDecoder("orders", sources["orders"]).decode(b"7", order, NOW_MS)
    assert (line.action, line.value) == ("purchase", 2.0)


def test_every_documented_time_is_taken() -> None:
    """The forms of ISO 8601 on the page are all understood."""
    forms = re.search(r"- ISO 8601: (.*?)\. Without", PAGE)
    assert forms
    for form in re.findall(r"`([^`]+)`", forms[1]):
        value = msgspec.json.encode({"user_id": "u1", "item_id": "i1", "timestamp": form})
        assert len(InteractionDecoder("clicks", Source()).decode(b"u1", value, NOW_MS)) == 1


def test_every_field_and_reason_is_documented() -> None:
    """The tables name all fields of a message and of a list, all headers and all reasons, and no others."""
    fields = set(SourceFields.__struct_fields__)
    assert first_cells(section("Interactions")) == fields
    assert all(f"`{action}`" in section("Interactions") for action in ACTIONS)
    assert set(ItemListed.__struct_fields__) == set(msgspec.json.decode(block("json item")))
    assert first_cells(section("Lists")) == {"schema", *RecommendationList.__struct_fields__}
    assert all(f"`{name}`" in section("Lists") for name in RecommendedItem.__struct_fields__)
    headers = {name for name, _ in dead_letter_headers(Refused("json", "json: no"), "t", 0, 0, 0)}
    reasons = fields | {"size", "json", "object", "key", "lines"}
    assert first_cells(section("Dead letters")) == headers | reasons


def test_every_topic_is_documented_as_it_is_created() -> None:
    """Each planned topic has its row, with the policy that it is created with."""
    settings = Settings(group="GROUP")
    rows = [row for row in PAGE.splitlines() if row.startswith("| ")]
    for plan in plan_topics(settings, {}):
        row = next(row for row in rows if f"`{plan.name}`" in row.split("|")[1])
        kept = row.split("|")[5].strip()
        if plan.role == "source":
            assert kept == "as they are"
        elif plan.config["cleanup.policy"] == "compact":
            assert kept == "compacted"
        else:
            assert kept == f"{int(plan.config['retention.ms']) // DAY_MS} days"
