"""What `evaluate` makes of a catalogue: which calls it takes, what its shares count, and texts."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from streams.cli import main
from streams.commands import progress
from streams.evaluation import Listing, evaluate_log
from streams.events import ItemListed
from streams.settings import Settings
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


def test_a_damaged_encoder_is_a_wrong_configuration(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder whose weights cannot be read ends with one line that names the setting, not as a defect."""
    path, items, folder = write_log(tmp_path, random_log(7, 60)), tmp_path / "items.jsonl", tmp_path / "model"
    items.write_text('{"item_id": "i1", "title": "One"}\n')
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "bert", "hidden_size": 8}')
    (folder / "model.safetensors").write_bytes(b"damaged")
    sets = (f"encoder={folder}", f"data_directory={tmp_path}")
    with pytest.raises(SystemExit) as exited:
        main(["evaluate", str(path), "--items", str(items), "--set", sets[0], "--set", sets[1]])
    captured = capsys.readouterr()
    assert (exited.value.code, captured.out, captured.err.count("\n")) == (2, "", 1)
    assert captured.err.startswith(f"freshet: encoder = '{folder}': ")
    assert "is it whole?" in captured.err


def test_encoding_of_a_listing_is_told(tmp_path: Path) -> None:
    """Whoever evaluates hears how many texts are encoded, of all that are not known yet, before any event."""
    settings = Settings(device="cpu", encoder="ngrams", data_directory=str(tmp_path))
    listing = Listing([ItemListed(f"i{number}", title=f"Title {number}") for number in range(700)])
    told: list[object] = []
    evaluation = evaluate_log(
        random_log(7, 50),
        settings,
        "all",
        listing=listing,
        on_progress=told.append,
        on_encoded=lambda done, total: told.append((done, total)),
    )
    assert told[-2:] == [(700, 700), 50]
    assert len(told) > 2
    assert evaluation.report()["encoder"] == "ngrams"
    bare = evaluate_log(
        random_log(7, 50), msgspec.structs.replace(settings, content=False), "all", listing=listing
    )
    assert "encoder" not in bare.report()


def test_every_stage_has_a_bar_on_a_terminal_and_none_in_a_pipe(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stages are shown by their names with what is done of them; where nobody looks there is silence."""
    for is_terminal in (False, True):
        monkeypatch.setattr("rich.console.Console.is_terminal", is_terminal)
        with progress.stages() as tell:
            tell("evaluating", 0, None)
            tell("encoding texts", 3, 7)
            tell("evaluating", 5, None)
        said = capsys.readouterr().err
        assert ("encoding texts" in said, "3/7" in said, "evaluating" in said) == (is_terminal,) * 3
