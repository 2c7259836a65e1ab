"""What `evaluate` reports: metrics, parts, curves, valleys, several workers, and the command around it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from models.prequential import BASELINES
from streams.cli import main
from streams.evaluation import Cost, Evaluation, Sharing, evaluate_log
from streams.evaluation.chunks import SeenItems, cut
from streams.scoreboard import SCORER
from streams.settings import Settings
from tests.streams.random_logs import START_MS, interaction, random_log, write_log

SCORERS = (SCORER, *BASELINES)
SETTINGS = Settings(device="cpu")


def evaluation_of(ranks: dict[str, NDArray[np.int32]], was_seen: list[bool] | None = None) -> Evaluation:
    """Return an evaluation that found these ranks."""
    seen = np.array(was_seen if was_seen is not None else [True] * len(ranks[SCORER]))
    actions = np.zeros(len(seen), np.uint8)
    return Evaluation("all", ranks, seen, actions, late=0, cost=Cost(1.0, 1.0, 0.5, 2000))


def ranks_of(evaluation: Evaluation) -> dict[str, list[int]]:
    """Return every scorer's ranks as lists, to be compared exactly."""
    return {scorer: evaluation.ranks[scorer].tolist() for scorer in SCORERS}


def test_what_can_be_learned_is_learned_and_beats_the_simple_rules() -> None:
    """In a stream of habits and passing fashions together the mixture is better than each rule alone."""
    random, log = np.random.default_rng(5), []
    for number in range(3000):
        user = int(random.integers(40))
        habit, fashion = (
            user * 5 + int(random.integers(5)),
            200 + number // 250 * 12 + int(random.integers(12)),
        )
        item = habit if random.random() < 0.5 else fashion
        log.append(interaction(f"u{user}", f"i{item}", START_MS + number * 60_000))
    report = evaluate_log(log, SETTINGS, "all").report()
    for name in BASELINES:
        assert report["last15"]["ndcg@10"] > report["heuristics"][name]["last15"]["ndcg@10"]


def test_the_first_event_counts_and_has_no_rank() -> None:
    """Nothing can be predicted before the first event, yet it is scored: 0 in every metric."""
    evaluation = evaluate_log(random_log(6, 1), SETTINGS, "all")
    assert ranks_of(evaluation) == {scorer: [0] for scorer in SCORERS}
    assert evaluation.report()["scored"] == 1
    assert evaluation.report()["full"]["mrr"] == 0


def test_new_scores_first_times_only_and_knows_the_whole_history() -> None:
    """A repeat is counted but not scored, even if the first time lies far behind the kept sequence."""
    log = [interaction("u", f"i{number % 70}", START_MS + number) for number in range(150)]
    evaluation = evaluate_log(log, SETTINGS, "new")
    for scorer in SCORERS:
        assert (evaluation.ranks[scorer] != -1).tolist() == [True] * 70 + [False] * 80
    report = evaluation.report()
    assert (report["events"], report["scored"]) == (150, 70)


def test_a_part_begins_at_its_share_of_all_events() -> None:
    """last15 and last10 are the events from int(.85 n) and int(.9 n), n counting also what is not scored."""
    ranks = np.array([-1, 1, 2, 0, 11, 3, 1, 0, 5, 2], np.int32)
    evaluation = evaluation_of(dict.fromkeys(SCORERS, ranks), was_seen=[True] * 4 + [False] * 6)
    report = evaluation.report()
    assert report["scored"] == 9
    assert report["seen_share"] == pytest.approx(3 / 9)
    assert report["full"]["hit@10"] == pytest.approx(6 / 9)
    assert report["full"]["mrr"] == pytest.approx((1 + 1 / 2 + 1 / 11 + 1 / 3 + 1 + 1 / 5 + 1 / 2) / 9)
    assert report["last15"]["mrr@10"] == pytest.approx((1 / 5 + 1 / 2) / 2)
    assert report["last10"]["ndcg@10"] == pytest.approx(1 / np.log2(3))


def test_a_part_without_scored_events_is_zero() -> None:
    """Where nothing is scored every metric is 0, and there is no ratio to speak of."""
    ranks = np.array([1] * 17 + [-1] * 3, np.int32)
    report = evaluation_of(dict.fromkeys(SCORERS, ranks)).report()
    assert report["last15"] == dict.fromkeys(("hit@10", "ndcg@10", "mrr@10", "mrr"), 0.0)
    assert report["ratio"] == {"full": 1.0, "last15": None, "last10": None}


def test_a_curve_is_the_mean_of_the_last_events() -> None:
    """A point at event e is NDCG@10 of the scored events among the `window` before it; nan if none is."""
    ranks = np.array([1, -1, 3, 0, -1, -1, 1, 12], np.int32)
    ends, means = evaluation_of(dict.fromkeys(SCORERS, ranks)).curve(SCORER, window=2)
    assert ends.tolist() == [2, 3, 4, 5, 6, 7, 8]
    np.testing.assert_allclose(means, [1, 0.5, 0.25, 0, np.nan, 1, 0.5])


def test_a_valley_is_a_tenth_below_the_best_baseline_there() -> None:
    """A tenth under .97 of its own best baseline is told with that baseline; one of .98 is not."""
    ours = np.ones((10, 100), np.int32)
    ours[3, :2], ours[6, :4] = 0, 0  # the fourth tenth has .98 of perfect, the seventh .96
    ranks = dict.fromkeys(SCORERS, np.full(1000, 3, np.int32))
    evaluation = evaluation_of({**ranks, SCORER: ours.ravel(), "repeat": np.ones(1000, np.int32)})
    assert evaluation.valleys() == [
        {"tenth": 7, "best": "repeat", "ndcg@10": 0.96, "best_ndcg@10": 1.0, "ratio": 0.96}
    ]


def test_chunks_end_where_they_are_full_or_where_an_instant_ends() -> None:
    """Chunks keep the order and the size; with whole ties none ends between two events of one time."""
    times = [1, 1, 1, 2, 3, 3, 3, 3, 3, 4, 4, 5]
    log = [interaction("u", f"i{number}", time_ms) for number, time_ms in enumerate(times)]
    for whole_ties in (False, True):
        chunks = list(cut(log, 3, whole_ties))
        assert [event for chunk in chunks for event in chunk] == log
        sizes = [3, 6, 3] if whole_ties else [3, 3, 3, 3]
        assert [len(chunk) for chunk in chunks] == sizes


def test_an_item_is_not_seen_before_its_own_instant_ends() -> None:
    """With whole ties an item that occurs twice in one instant was seen neither time; else the second."""
    log = [interaction("u", item, time_ms) for item, time_ms in (("a", 1), ("a", 1), ("b", 1), ("a", 2))]
    masks = []
    for whole_ties in (False, True):
        seen = SeenItems(whole_ties)
        seen.add(log[:3])
        seen.add(log[3:])
        masks.append(seen.mask().tolist())
    assert masks == [[False, True, False, True], [False, False, False, True]]


def test_workers_that_follow_each_other_count_the_same() -> None:
    """Three workers score every event once, end with equal counters, and are close to one worker."""
    log = random_log(9, 1500, users=30)
    alone = evaluate_log(log, SETTINGS, "all")
    shared = evaluate_log(log, SETTINGS, "all", sharing=Sharing(3, late_events=20))
    report = shared.report()
    assert (report["workers"], report["workers_late_events"], report["counters_equal"]) == (3, 20, True)
    assert report["scored"] == alone.report()["scored"] == 1500
    assert report["full"]["ndcg@10"] == pytest.approx(alone.metrics(SCORER, "full")["ndcg@10"], rel=0.15)
    assert ranks_of(shared) != ranks_of(alone)


def test_what_others_do_is_heard_of_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker's counters know of another's event only after so many further events of the log."""
    monkeypatch.setattr(Sharing, "worker_of", lambda _, user_id: int(user_id[1:]))
    log = [interaction("u0", "new", START_MS)]
    log += [interaction("u1", f"i{number}", START_MS + 1000 * number) for number in range(1, 40)]
    for late_events in (8, 24):
        heard = [
            evaluate_log(
                [*log[:at], interaction("u1", "new", START_MS + 10**6)],
                SETTINGS,
                "all",
                sharing=Sharing(2, late_events),
            ).ranks["popularity"][-1]
            > 0
            for at in range(1, 40)
        ]
        first = heard.index(True)
        assert late_events <= first <= late_events * 3 // 2
        assert all(heard[first:])


def test_one_worker_of_a_team_is_one_worker() -> None:
    """However late, a team of one gives the ranks of a worker alone."""
    log = random_log(10, 300)
    alone = ranks_of(evaluate_log(log, SETTINGS, "new"))
    assert ranks_of(evaluate_log(log, SETTINGS, "new", sharing=Sharing(1, 5))) == alone


def test_the_command_prints_one_object_with_the_contracts_names(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With --json stdout is one JSON object with every promised name, and it says what was asked."""
    path = write_log(tmp_path, random_log(7, 300))
    items = tmp_path / "items.jsonl"
    items.write_text("".join(json.dumps({"item_id": f"i{number}"}) + "\n" for number in range(60)))
    with pytest.raises(SystemExit) as exited:
        main(["evaluate", str(path), "--items", str(items), "--limit", "200", "--seed", "3", "--json"])
    assert exited.value.code == 0
    report = json.loads(capsys.readouterr().out)
    for part in ("full", "last15", "last10"):
        assert set(report[part]) == {"hit@10", "ndcg@10", "mrr@10", "mrr"}
        for name in BASELINES:
            assert set(report["heuristics"][name][part]) == set(report[part])
    assert (report["log"], report["variant"], report["events"], report["seed"]) == (str(path), "all", 200, 3)
    assert report["scored"] == 200
    assert report["listed_share"] == 1
    for name in ("seen_share", "events_per_second", "cpu_seconds", "peak_rss_bytes", "device"):
        assert report[name]
    assert (report["effort"], report["workers"], report["batch_ties"]) == ("full", 1, False)
    assert set(report["ratio"]) == set(report["best_heuristic"]) == {"full", "last15", "last10"}
    assert isinstance(report["valleys"], list)
    assert (report["candidates"], report["twins"]) == ("seen", 0)
    assert report["by_novelty"]["warm"]["scored"] + report["by_novelty"]["cold"]["scored"] == 200


def evaluated(path: Path, capsys: pytest.CaptureFixture[str], *options: str) -> dict[str, Any]:
    """Run the command on a log and return its report."""
    with pytest.raises(SystemExit) as exited:
        main(["evaluate", str(path), *options, "--json"])
    captured = capsys.readouterr()
    assert exited.value.code == 0, captured.err
    report: dict[str, Any] = json.loads(captured.out)
    return report


def test_the_command_says_under_which_conditions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Effort, ties, workers and how late they are stand in the report; a flag goes above a setting."""
    path = write_log(tmp_path, random_log(7, 200))
    report = evaluated(path, capsys, "--effort", "low", "--batch-ties", "--workers", "2", "--late", "16")
    assert (report["effort"], report["batch_ties"], report["workers"]) == ("low", True, 2)
    assert (report["workers_late_events"], report["counters_equal"]) == (16, True)
    assert (report["interest"], report["graph"], "encoder" in report) == ("auto", "sage", False)
    report = evaluated(path, capsys, "--set", "effort=half", "--set", "batch_ties=true")
    assert (report["effort"], report["batch_ties"]) == ("half", True)
    assert evaluated(path, capsys, "--set", "effort=half", "--effort", "full")["effort"] == "full"
    assert report["cpu_microseconds_per_event"] is None  # one chunk, in which code may have been loaded


def test_the_command_says_what_is_predicted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every action, or what has a weight: then only that is scored, and tables for people say so."""
    log = random_log(7, 200)
    path = write_log(tmp_path, log)
    report = evaluated(path, capsys)
    assert (report["targets"], report["scored"]) == (["click", "cart", "favorite", "purchase"], 200)
    told = report["by_action"]
    assert set(told) == {"click", "purchase"}
    for part in ("full", "last15", "last10"):
        cut = log[int({"full": 0, "last15": 0.85, "last10": 0.9}[part] * 200) :]
        sums = sum(told[e.action]["ndcg@10"][part] for e in cut)
        assert sums / len(cut) == pytest.approx(report[part]["ndcg@10"])
    only = ("--set", "sources.a.weight=0", "--set", "sources.b.action=purchase")
    report = evaluated(path, capsys, *only)
    purchases = sum(event.action == "purchase" for event in log)
    assert (report["targets"], report["scored"]) == (["purchase"], purchases)
    assert {action: told["scored"] for action, told in report["by_action"].items()} == {"purchase": purchases}
    with pytest.raises(SystemExit):
        main(["evaluate", str(path), *only])
    assert "predicted and scored: purchase" in capsys.readouterr().out
    with pytest.raises(SystemExit) as exited:
        main(["evaluate", str(path), *only[:2]])
    assert exited.value.code == 2
    assert "nothing to predict" in capsys.readouterr().err


def test_curves_are_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--plot writes a PNG with a line for every scorer, and the report says where."""
    path, picture = write_log(tmp_path, random_log(8, 400)), tmp_path / "curves.png"
    assert evaluated(path, capsys, "--plot", str(picture))["plot"] == str(picture)
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("picture", "words"),
    [("curves.pdf", "ends with .png"), ("nowhere/curves.png", "make it first"), (".png", "ends with .png")],
)
def test_a_picture_that_cannot_be_is_refused_at_once(
    picture: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file that is no PNG or has no folder ends with one line, before the log is read."""
    with pytest.raises(SystemExit) as exited:
        main(["evaluate", str(tmp_path / "no-log.csv"), "--plot", str(tmp_path / picture)])
    captured = capsys.readouterr()
    assert (exited.value.code, captured.out, captured.err.count("\n")) == (2, "", 1)
    assert words in captured.err


def test_without_matplotlib_plot_says_what_to_install(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where matplotlib is missing --plot is refused with the extra that brings it; the rest works."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    path = write_log(tmp_path, random_log(8, 50))
    with pytest.raises(SystemExit) as exited:
        main(["evaluate", str(path), "--plot", str(tmp_path / "curves.png")])
    assert exited.value.code == 2
    assert "freshet[plot]" in capsys.readouterr().err
    assert evaluated(path, capsys)["events"] == 50


def test_the_command_prints_tables_for_people(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without --json each part has a table, with the model and every baseline in it."""
    path = write_log(tmp_path, random_log(8, 100))
    with pytest.raises(SystemExit) as exited:
        main(["evaluate", str(path), "--variant", "new"])
    assert exited.value.code == 0
    printed = capsys.readouterr().out
    assert any("events/s" in line and line.endswith("MiB, cpu") for line in printed.splitlines())
    for words in ("whole log, variant new", "last 15 %", "last 10 %", "freshet", "repeat", "ndcg@10"):
        assert words in printed


@pytest.mark.parametrize(
    ("content", "code", "words"),
    [
        (None, 2, "events.csv"),
        ("user,item\n", 2, "expected a header"),
        ("user_id,item_id,timestamp\n", 2, "no interactions"),
        ("user_id,item_id,timestamp\nu,i,1700000000000\nu,,1700000000000\n", 1, "line 3"),
    ],
)
def test_a_log_that_is_none_is_refused_in_one_line(
    content: str | None, code: int, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A missing, headless, empty or damaged log ends with one line that says what is wrong and where."""
    path = tmp_path / "events.csv"
    if content is not None:
        path.write_text(content)
    with pytest.raises(SystemExit) as exited:
        main(["evaluate", str(path), "--json"])
    captured = capsys.readouterr()
    assert exited.value.code == code
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert words in captured.err
