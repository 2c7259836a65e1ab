"""What `evaluate` makes of a catalogue: which calls it takes, what its shares count, and texts."""

import json
from pathlib import Path
from typing import Any

import pytest

from streams.cli import main
from tests.streams.random_logs import random_log, write_log


def ran(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[dict[str, Any], str]:
    """Run the command; return its report and what it said on stderr."""
    with pytest.raises(SystemExit) as exited:
        main(["evaluate", *map(str, arguments), "--json"])
    captured = capsys.readouterr()
    assert exited.value.code == 0, captured.err
    report: dict[str, Any] = json.loads(captured.out)
    return report, captured.err


def test_an_open_catalogue_needs_items_or_relations(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a word on what is listed the call is refused; relations alone list what they are of."""
    path = write_log(tmp_path, random_log(7, 60))
    with pytest.raises(SystemExit) as exited:
        main(["evaluate", str(path), "--candidates", "catalog"])
    assert exited.value.code == 2
    assert "--items FILE" in capsys.readouterr().err
    relations = tmp_path / "relations.csv"
    relations.write_text("head,relation,tail\nitem:i1,by,m1\nitem:i2,by,m1\n")
    report, _ = ran(capsys, path, "--relations", relations, "--candidates", "catalog", "--twins", 1)
    assert 0 < report["related_share"] < 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--candidates", "catalog", "--set", "content=false"), "take away content = false"),
        (("--candidates", "catalog", "--twins", "1", "--set", "content=false"), "take away content = false"),
        (("--twins", "1"), "add --candidates catalog"),
    ],
)
def test_what_would_say_nothing_of_an_open_catalogue_is_refused(
    options: tuple[str, ...], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Candidates and twins without what makes them so are a wrong call of one line, not a report."""
    path, items = write_log(tmp_path, random_log(7, 60)), tmp_path / "items.jsonl"
    items.write_text('{"item_id": "i1"}\n')
    with pytest.raises(SystemExit) as exited:
        main(["evaluate", str(path), "--items", str(items), *options, "--json"])
    captured = capsys.readouterr()
    assert (exited.value.code, captured.out, captured.err.count("\n")) == (2, "", 1)
    assert words in captured.err


def test_relations_of_items_that_are_not_listed_are_not_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`related_share` is of listed items that have relations, and stderr says how many others have some."""
    log = random_log(7, 200)
    path, items, relations = write_log(tmp_path, log), tmp_path / "items.jsonl", tmp_path / "relations.csv"
    items.write_text('{"item_id": "i1"}\n{"item_id": "i2"}\n{"item_id": "i3", "relations": [["by", "m"]]}\n')
    relations.write_text("head,relation,tail\n" + "".join(f"item:i{n},by,m\n" for n in (1, 4, 5)))
    report, said = ran(capsys, path, "--items", items, "--relations", relations)
    assert report["listed_share"] == sum(event.item_id in {"i1", "i2", "i3"} for event in log) / 200
    assert report["related_share"] == sum(event.item_id in {"i1", "i3"} for event in log) / 200
    assert f"{relations}: 2 items have relations but are not in {items}" in said
