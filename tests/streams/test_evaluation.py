"""Test-then-learn through the worker's own step: nothing leaks, and chunks change nothing."""

import json
from pathlib import Path

import msgspec
import numpy as np
import pytest

from models.prequential import BASELINES
from streams.cli import main
from streams.evaluation import Evaluation, Variant, evaluate_log
from streams.events import ActionName, Interaction
from streams.recommender import SCORER
from streams.settings import Settings

SCORERS = (SCORER, *BASELINES)
SETTINGS = Settings(device="cpu")
START_MS = 1_700_000_000_000


def random_log(seed: int, events: int, items: int = 60, users: int = 12) -> list[Interaction]:
    """Return events of skewed items; users come back to what they had, some moments hold several events."""
    random = np.random.default_rng(seed)
    pasts: list[list[int]] = [[] for _ in range(users)]
    log, now_ms = [], START_MS
    for _ in range(events):
        user = int(random.integers(users))
        past = pasts[user]
        item = int(min(random.geometric(0.08) - 1, items - 1))
        if past and random.random() < 0.4:
            item = past[int(random.integers(len(past)))]
        past.append(item)
        now_ms += int(random.integers(0, 3)) * 10_000
        action: ActionName = "purchase" if random.random() < 0.1 else "click"
        log.append(interaction(f"u{user}", f"i{item}", now_ms, action))
    return log


def interaction(user_id: str, item_id: str, time_ms: int, action: ActionName = "click") -> Interaction:
    """Return an interaction as the wire decodes it."""
    return Interaction(user_id=user_id, item_id=item_id, timestamp_ms=time_ms, action=action)


def ranks_of(evaluation: Evaluation) -> dict[str, list[int]]:
    """Return every scorer's ranks as lists, to be compared exactly."""
    return {scorer: evaluation.ranks[scorer].tolist() for scorer in SCORERS}


@pytest.mark.parametrize("variant", ["all", "new"])
def test_ranks_do_not_depend_on_the_chunks(variant: Variant) -> None:
    """Steps of 1, 13 and 2,000 events give every scorer the same rank at every event."""
    log = random_log(1, 1200)
    expected = ranks_of(evaluate_log(log, SETTINGS, variant, chunk=2000))
    assert max(expected[SCORER]) > 1
    for chunk in (1, 13):
        assert ranks_of(evaluate_log(log, SETTINGS, variant, chunk=chunk)) == expected


@pytest.mark.parametrize("variant", ["all", "new"])
def test_what_comes_later_changes_no_earlier_rank(variant: Variant) -> None:
    """Altering all events from k + 1 on, in the middle of a chunk, leaves all ranks up to k as they were."""
    log, other = random_log(2, 700), random_log(3, 700)
    expected = ranks_of(evaluate_log(log, SETTINGS, variant))
    for cut in (1, 130, 401):
        later = [msgspec.structs.replace(e, timestamp_ms=e.timestamp_ms + 10**8) for e in other[cut:]]
        altered = ranks_of(evaluate_log(log[:cut] + later, SETTINGS, variant))
        for scorer in SCORERS:
            assert altered[scorer][:cut] == expected[scorer][:cut]
        assert altered != expected


def test_an_unpredictable_future_is_scored_at_chance() -> None:
    """Where the next of 100 items is drawn by a fair die, hit@10 is 10 % for every scorer: nothing leaks."""
    random = np.random.default_rng(4)
    log = [
        interaction(f"u{random.integers(20)}", f"i{random.integers(100)}", START_MS + number * 1000)
        for number in range(6000)
    ]
    report = evaluate_log(log, SETTINGS, "all").report()
    deviation = np.sqrt(0.1 * 0.9 / 6000)
    for metrics in (report["full"], *(report["heuristics"][name]["full"] for name in BASELINES)):
        # The first events have no candidates yet, so it may be a little less.
        assert 0.1 - 5 * deviation < metrics["hit@10"] < 0.1 + 4 * deviation


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
    evaluation = Evaluation(
        variant="all",
        seed=0,
        device="cpu",
        ranks=dict.fromkeys(SCORERS, ranks),
        was_seen=np.array([True] * 4 + [False] * 6),
        late=0,
        seconds=1.0,
        cpu_seconds=1.0,
    )
    report = evaluation.report()
    assert report["scored"] == 9
    assert report["seen_share"] == pytest.approx(3 / 9)
    assert report["full"]["hit@10"] == pytest.approx(6 / 9)
    assert report["full"]["mrr"] == pytest.approx((1 + 1 / 2 + 1 / 11 + 1 / 3 + 1 + 1 / 5 + 1 / 2) / 9)
    assert report["last15"]["mrr@10"] == pytest.approx((1 / 5 + 1 / 2) / 2)
    assert report["last10"]["ndcg@10"] == pytest.approx(1 / np.log2(3))


def write_log(folder: Path, log: list[Interaction]) -> Path:
    """Write a log as CSV."""
    path = folder / "events.csv"
    lines = [f"{e.user_id},{e.item_id},{e.timestamp_ms},{e.action}," for e in log]
    path.write_text("\n".join(["user_id,item_id,timestamp,action,value", *lines]) + "\n")
    return path


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


def test_the_command_prints_tables_for_people(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without --json each part has a table, with the model and every baseline in it."""
    path = write_log(tmp_path, random_log(8, 100))
    with pytest.raises(SystemExit) as exited:
        main(["evaluate", str(path), "--variant", "new"])
    assert exited.value.code == 0
    printed = capsys.readouterr().out
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
