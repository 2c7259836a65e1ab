"""`simulate` and `replay`: into files, and into the topics of a real Kafka."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from streams.events import InteractionDecoder, ItemListed, decode_item
from streams.logs import read_items, read_log
from streams.settings import Settings, Source, SourceFields
from streams.shop import OPENING_MS
from streams.topics import create_topics

LOG = """user_id,item_id,timestamp,action,value
u1,i1,1700000000000,click,
u2,i2,1700000000500,purchase,2
u1,i2,1700000001000,cart,
u3,,1700000001500,click,
u1,i3,1700000002000,favorite,
u1,i3,1700000002000,purchase,1
"""
ITEMS = (
    '{"item_id": "i1", "title": "One", "year": "1995"}\n{"item_id": "i2", "relations": [["made by", "b"]]}\n'
)
RELATIONS = "head,relation,tail\nitem:i2,goes with,item:i1\nm.1,made,item:i9\n"


Freshet = Callable[..., tuple[int, str, str]]


def _result(ran: tuple[int, str, str]) -> dict[str, Any]:
    code, out, err = ran
    assert code == 0, err
    result: dict[str, Any] = json.loads(out)
    return result


def test_the_same_seed_writes_the_same_log(tmp_path: Path, freshet: Freshet) -> None:
    """Two runs with one seed write the same bytes, and say what is in them; another seed writes others."""
    options = ("--users", 30, "--items", 100, "--rate", 100, "--seconds", 10, "--json")
    results = [
        _result(freshet("simulate", *options, "--seed", seed, "--out", tmp_path / f"log-{number}"))
        for number, seed in enumerate((1, 1, 2))
    ]
    logs = [
        {file.name: file.read_bytes() for file in (tmp_path / f"log-{number}").iterdir()}
        for number in range(3)
    ]
    assert set(logs[0]) == {"events.csv.gz", "items.jsonl.gz", "interests.jsonl.gz"}
    assert logs[0] == logs[1]
    assert logs[0]["events.csv.gz"] != logs[2]["events.csv.gz"]
    interactions = list(read_log(tmp_path / "log-0" / "events.csv.gz"))
    listed = {item.item_id for item in read_items(tmp_path / "log-0" / "items.jsonl.gz")}
    assert results[0]["events"] == len(interactions) == 1000
    assert results[0]["users"] == len({interaction.user_id for interaction in interactions})
    assert results[0]["items"] == len(listed)
    assert {interaction.item_id for interaction in interactions} <= listed


def test_a_log_with_seasons_says_when_they_turned(tmp_path: Path, freshet: Freshet) -> None:
    """The result names the times at which seasons and upheavals began, as far as the log goes."""
    options = ("--users", 200, "--items", 100, "--rate", 100, "--seconds", 30, "--out", tmp_path / "log")
    turning = ("--seasons", 2, "--season-hours", 10, "--upheaval-hours", 12.5, "--json")
    turns = _result(freshet("simulate", *options, *turning))["turns"]
    hours = [(turn["timestamp"] - OPENING_MS) / 3_600_000 for turn in turns]
    assert hours[:3] == [10, 12.5, 20]
    assert [turn.get("season") for turn in turns[:3]] == [1, None, 0]
    last = list(read_log(tmp_path / "log" / "events.csv.gz"))[-1]
    assert turns[-1]["timestamp"] <= last.timestamp_ms < turns[-1]["timestamp"] + 10 * 3_600_000


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("simulate", "--season-hours", "0"), "--season-hours 0.0: expected a number above 0"),
        (("simulate", "--upheaval-hours", "inf"), "--upheaval-hours inf: expected a number above 0"),
        (("simulate", "--seasons", "9"), "--seasons"),
        (("simulate", "--rate", "nan"), "--rate nan: expected a number above 0"),
        (("simulate", "--rate", "0"), "--rate 0.0: expected a number above 0"),
        (("simulate", "--seconds", "-1"), "--seconds -1.0: expected a number above 0"),
        (("simulate", "--drift", "2"), "--drift 2.0: expected a probability"),
        (("simulate", "--users", "0"), "--users"),
        (("simulate", "--colour", "red"), "--colour"),
        (("replay",), "LOG"),
        (("replay", "missing.csv"), "cannot read missing.csv"),
        (("replay", "log.csv", "--items", "missing.jsonl"), "cannot read missing.jsonl"),
        (("replay", "log.csv", "--rate", "-3"), "--rate -3.0: expected a number above 0"),
        (("replay", "log.csv", "--speed", "inf"), "--speed inf: expected a number above 0"),
        (("replay", "log.csv", "--speed", "2", "--rate", "2"), "exclude each other"),
        (("replay", "log.csv", "--relations", "log.csv"), "name their file with --items"),
        (("replay", "log.csv", "--items", "i.jsonl", "--relations", "r.csv"), "relates no item"),
        (("replay", "log.csv", "--limit", "0"), "--limit"),
    ],
)
def test_a_wrong_call_is_one_line(
    arguments: tuple[str, ...],
    complaint: str,
    freshet: Freshet,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A wrong call exits 2 with one line on stderr and nothing on stdout, before Kafka is asked anything."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "log.csv").write_text(LOG)
    (tmp_path / "i.jsonl").write_text(ITEMS)
    (tmp_path / "r.csv").write_text("head,relation,tail\ni1,made by,b\n")
    code, out, err = freshet(*arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert complaint in err


def test_no_kafka_is_one_line(
    freshet: Freshet, unshared_settings: Callable[..., Settings], settings_file: Callable[[Settings], Path]
) -> None:
    """Without a Kafka simulate exits 1 and says how to get one."""
    code, out, err = freshet("simulate", "--config", settings_file(unshared_settings()))
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "freshet broker start" in err


def test_missing_topics_are_told(
    freshet: Freshet, settings_for: Callable[..., Settings], settings_file: Callable[[Settings], Path]
) -> None:
    """A source that does not exist is a wrong call that says how to create it; it is not created."""
    config = settings_file(settings_for())
    for _ in range(2):
        code, _, err = freshet("simulate", "--config", config)
        assert code == 2
        assert "does not exist" in err
        assert "freshet topics create" in err


def _sent(settings: Settings, read_topic: Callable[[Settings, str], list[Any]]) -> dict[str, list[Any]]:
    """Return the interactions that arrived, by user, in the order of their times."""
    arrived: dict[str, list[Any]] = {}
    for topic, source in settings.sources.items():
        decode = InteractionDecoder(topic, source).decode
        for record in read_topic(settings, topic):
            for interaction in decode(record.key, record.value, record.timestamp):
                arrived.setdefault(interaction.user_id, []).append(
                    (interaction.timestamp_ms, topic, interaction)
                )
                assert abs(interaction.timestamp_ms - record.timestamp) < 60_000
    return {user: sorted(found, key=lambda entry: entry[0]) for user, found in arrived.items()}


def test_replay_sends_a_log(
    freshet: Freshet,
    settings_for: Callable[..., Settings],
    settings_file: Callable[[Settings], Path],
    read_topic: Callable[[Settings, str], list[Any]],
    tmp_path: Path,
) -> None:
    """Good lines arrive in their sources, stamped now, in their users' order; a bad one is named."""
    settings = settings_for()
    create_topics(settings)
    clicks, purchases = settings.sources
    for name, content in (("log.csv", LOG), ("items.jsonl", ITEMS), ("relations.csv", RELATIONS)):
        (tmp_path / name).write_text(content)
    files = (
        tmp_path / "log.csv",
        "--items",
        tmp_path / "items.jsonl",
        "--relations",
        tmp_path / "relations.csv",
    )
    ran = freshet("replay", *files, "--json", "--config", settings_file(settings))
    result = _result(ran)
    assert result["sent"] == {settings.topics.items: 2, clicks: 3, purchases: 2}
    assert result["refused"] == 1
    assert f"{tmp_path / 'log.csv'}, line 5: item_id" in ran[2]
    assert "1 items have relations but are not in" in ran[2]
    arrived = _sent(settings, read_topic)
    assert [(topic, i.item_id, i.action) for _, topic, i in arrived["u1"]] == [
        (clicks, "i1", "click"),
        (clicks, "i2", "cart"),
        (clicks, "i3", "favorite"),
        (purchases, "i3", "purchase"),
    ]
    assert [(topic, i.item_id, i.value) for _, topic, i in arrived["u2"]] == [(purchases, "i2", 2.0)]
    listed = [decode_item(record.key, record.value) for record in read_topic(settings, settings.topics.items)]
    assert sorted(listed, key=lambda item: item.item_id) == [
        ItemListed("i1", "One", attributes={"year": "1995"}, relations=[("~goes with", "item:i2")]),
        ItemListed("i2", relations=[("made by", "b"), ("goes with", "item:i1")]),
    ]


def test_replay_speaks_the_words_of_the_source(
    freshet: Freshet,
    settings_for: Callable[..., Settings],
    settings_file: Callable[[Settings], Path],
    read_topic: Callable[[Settings, str], list[Any]],
    tmp_path: Path,
) -> None:
    """A source with names of its own gets messages with these names, and --limit and --rate are kept."""
    settings = settings_for()
    orders = f"{settings.group}-orders"
    fields = SourceFields(user_id="customer.id", item_id="lines[].sku")
    settings = msgspec.structs.replace(settings, sources={orders: Source(action="purchase", fields=fields)})
    create_topics(settings)
    (tmp_path / "log.csv").write_text(LOG)
    config = settings_file(settings)
    result = _result(
        freshet("replay", tmp_path / "log.csv", "--limit", 3, "--rate", 1000, "--json", "--config", config)
    )
    assert result["sent"] == {orders: 3}
    assert result["refused"] == 0
    assert {user: len(found) for user, found in _sent(settings, read_topic).items()} == {"u1": 2, "u2": 1}
    message = json.loads(read_topic(settings, orders)[0].value)
    assert message["customer"]["id"]
    assert message["lines"][0]["sku"]


def test_simulate_sends_what_it_says(
    freshet: Freshet,
    settings_for: Callable[..., Settings],
    settings_file: Callable[[Settings], Path],
    read_topic: Callable[[Settings, str], list[Any]],
) -> None:
    """Items are listed, interactions arrive keyed by user at valid times, and the result counts them."""
    settings = settings_for()
    create_topics(settings)
    options = ("--users", 20, "--items", 50, "--rate", 500, "--seconds", 1, "--json")
    result = _result(freshet("simulate", *options, "--config", settings_file(settings)))
    arrived = _sent(settings, read_topic)
    counts = Counter(topic for found in arrived.values() for _, topic, _ in found)
    assert result["events"] == counts.total() == 500
    assert result["users"] == len(arrived)
    assert result["sent"] == counts | {settings.topics.items: result["items"]}
    assert len(read_topic(settings, settings.topics.items)) == result["items"] >= 50
