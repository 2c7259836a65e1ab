"""A worker that is fed by Kafka reports what `evaluate` finds on the same log."""

from collections.abc import Callable

import msgspec
import pytest

from models.prequential import BASELINES
from streams.evaluation import Evaluation, evaluate_log
from streams.events import Interaction
from streams.feed import Feed, Pace
from streams.scoreboard import SCORER
from streams.settings import Settings, Source
from streams.topics import create_topics
from tests.streams.random_logs import random_log
from tests.streams.running import WorkerProcess

SettingsFor = Callable[..., Settings]
StartWorker = Callable[..., WorkerProcess]
Sums = dict[str, tuple[float, float, float]]  # scorer -> scored, hits, sum of NDCG@10
# Clicks only, so that the order of the log is the order of the topic.
LOG = [msgspec.structs.replace(each, action="click") for each in random_log(21, 1800, items=120, users=40)]


@pytest.fixture
def one_source(settings_for: SettingsFor) -> Callable[[int], Settings]:
    """Give a function that makes settings with one source topic of so many partitions."""

    def settings(partitions: int) -> Settings:
        made = settings_for()
        topics = msgspec.structs.replace(made.topics, partitions=partitions)
        return msgspec.structs.replace(made, topics=topics, sources={f"{made.group}-clicks": Source()})

    return settings


def send(settings: Settings, log: list[Interaction], rate: float | None = None) -> None:
    """Send a log, so many events a second, or as fast as Kafka takes it."""
    with Feed(settings, items=False) as feed:
        pace = Pace()
        for number, each in enumerate(log):
            if rate is not None:
                pace.wait_until(number / rate)
            feed.interaction(each)


def prequential(worker: WorkerProcess) -> Sums:
    """Return what the worker counts."""
    lines = worker.get("/metrics")[1].splitlines()

    def value(name: str, scorer: str) -> float:
        wanted = f'freshet_prequential_{name}_total{{scorer="{scorer}",variant="all"}}'
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(wanted))

    names = ("scored", "hits", "ndcg_sum")
    return {
        scorer: tuple(value(name, scorer) for name in names)  # type: ignore[misc]
        for scorer in (SCORER, *BASELINES)
    }


def expected(evaluation: Evaluation) -> Sums:
    """Return the same of an evaluation."""
    found = {}
    for scorer in (SCORER, *BASELINES):
        scored = len(evaluation.ranks[scorer])
        metrics = evaluation.metrics(scorer, "full")
        found[scorer] = (scored, metrics["hit@10"] * scored, metrics["ndcg@10"] * scored)
    return found


def fed(worker: WorkerProcess, settings: Settings, rate: float | None) -> Sums:
    """Send the log, wait until a worker has scored all of it, and return what it reports."""
    worker.wait_ready()
    send(settings, LOG, rate)
    worker.wait_until(lambda: worker.metric("freshet_events_total") == len(LOG), "applied")
    worker.wait_until(lambda: prequential(worker)[SCORER][0] == len(LOG), "scored")
    return prequential(worker)


def test_from_one_partition_the_figures_are_those_of_evaluate(
    one_source: Callable[[int], Settings], start_worker: StartWorker
) -> None:
    """Scored events, hits and NDCG@10 of every scorer are the same, to the last event."""
    settings = one_source(1)
    create_topics(settings)
    found = fed(start_worker(settings), settings, None)
    for scorer, sums in expected(evaluate_log(LOG, settings, "all")).items():
        assert found[scorer] == pytest.approx(sums), scorer


def test_from_several_partitions_the_figures_are_close(
    one_source: Callable[[int], Settings], start_worker: StartWorker
) -> None:
    """From four partitions, which mix the order a little, NDCG@10 is within 2 % of evaluate's."""
    settings = one_source(4)
    create_topics(settings)
    found = fed(start_worker(settings), settings, 400.0)
    (scored, _, ndcg_sum) = expected(evaluate_log(LOG, settings, "all"))[SCORER]
    assert found[SCORER][0] == scored
    assert found[SCORER][2] == pytest.approx(ndcg_sum, rel=0.02)
