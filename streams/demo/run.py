"""Runs the demo: everything starts, a minute passes, everything is counted and gone."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from streams.demo.cast import Reader, Sender
from streams.demo.stage import Say, Stage, open_stage
from streams.settings import Settings
from streams.shop import Shop

SETTLE_SECONDS = 20.0
LOOK_SECONDS = 0.25
SCORERS = ("freshet", "popularity")


@dataclass(frozen=True)
class DemoOptions:
    """How long, how fast, how large; what `freshet demo` takes."""

    seconds: float = 60.0
    rate: float = 200.0
    users: int = 500
    items: int = 2000
    seed: int = 7
    keep: bool = False


@dataclass(frozen=True)
class DemoResult:
    """What the demo has to say at its end; freshness is from an event sent to its list read."""

    broker: dict[str, Any]
    seconds: float
    events: int
    lists: int
    users: int
    users_with_list: int
    dead_letters: int
    freshness_seconds: dict[str, float]
    hit_at_10: float
    popularity_hit_at_10: float
    metrics_url: str

    def as_json(self) -> dict[str, Any]:
        """Return it as one JSON object."""
        return asdict(self)


@dataclass(frozen=True)
class Scene:
    """What can be seen while it runs."""

    stage: Stage
    sender: Sender
    reader: Reader
    passed_seconds: float
    total_seconds: float
    series: dict[tuple[str, str], float]

    def hit_at_10(self, scorer: str) -> float:
        """Return the share of events whose item was among the first ten, scored before it was learned."""
        scored = self.series.get(("freshet_prequential_scored_total", scorer), 0.0)
        return self.series.get(("freshet_prequential_hits_total", scorer), 0.0) / max(scored, 1.0)

    def freshness(self) -> dict[str, float]:
        """Return the median and the 99th percentile so far, seconds; 0 before the first list."""
        delays = self.reader.freshness_seconds(self.sender.sent.times) or [0.0]
        return {"p50": delays[len(delays) // 2], "p99": delays[int(len(delays) * 0.99)]}


Look = Callable[[Scene], None]


def run_demo(settings: Settings, options: DemoOptions, say: Say, look: Look) -> DemoResult:
    """Run it; `look` sees a scene several times a second. Raises FreshetError if a part of it fails."""
    shop = Shop(seed=options.seed, users=options.users, items=options.items)
    with open_stage(settings, options.keep, say) as stage:
        reader, sender = Reader(stage.settings), Sender(stage.settings, shop, options.rate)
        reader.start()
        sender.start()
        try:
            started = time.monotonic()
            while (passed := time.monotonic() - started) < options.seconds:
                _check(stage, sender, reader)
                look(Scene(stage, sender, reader, passed, options.seconds, _series(stage)))
                time.sleep(LOOK_SECONDS)
            sender.finish()
            scene = _settle(stage, sender, reader, options.seconds)
            look(scene)
        finally:
            sender.finish()
            reader.finish()
        _check(stage, sender, reader)
    return _result(scene, time.monotonic() - started)


def _settle(stage: Stage, sender: Sender, reader: Reader, seconds: float) -> Scene:
    """Wait until everything that was sent is applied and every list has arrived."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while True:
        series = _series(stage)
        done = (
            series[("freshet_events_total", "")] >= sender.sent.events
            and reader.lists >= series[("freshet_lists_total", "")]
            and series[("freshet_prequential_scored_total", SCORERS[0])] > 0
        )
        if done or time.monotonic() > deadline:
            time.sleep(1.1)  # the worker brings its prequential series up to date once a second
            return Scene(stage, sender, reader, seconds, seconds, _series(stage))
        _check(stage, sender, reader)
        time.sleep(LOOK_SECONDS)


def _check(stage: Stage, sender: Sender, reader: Reader) -> None:
    stage.check()
    for part in (sender, reader):
        if part.error is not None:
            raise part.error


def _series(stage: Stage) -> dict[tuple[str, str], float]:
    """Return the worker's counters, summed over all labels but the scorer."""
    sums: dict[tuple[str, str], float] = {}
    for family in text_string_to_metric_families(stage.scrape()):
        for sample in family.samples:
            key = (sample.name, sample.labels.get("scorer", ""))
            sums[key] = sums.get(key, 0.0) + sample.value
    for name in ("freshet_events_total", "freshet_lists_total", "freshet_dead_letters_total"):
        sums.setdefault((name, ""), 0.0)
    sums.setdefault(("freshet_prequential_scored_total", SCORERS[0]), 0.0)
    return sums


def _result(scene: Scene, seconds: float) -> DemoResult:
    broker = scene.stage.broker
    return DemoResult(
        broker={
            "kind": broker.kind,
            "version": broker.version,
            "bootstrap_servers": broker.bootstrap_servers,
        },
        seconds=round(seconds, 1),
        events=scene.sender.sent.events,
        lists=scene.reader.lists,
        users=len(scene.sender.sent.users),
        users_with_list=len(scene.reader.shown),
        dead_letters=int(scene.series[("freshet_dead_letters_total", "")]),
        freshness_seconds={name: round(value, 4) for name, value in scene.freshness().items()},
        hit_at_10=round(scene.hit_at_10("freshet"), 4),
        popularity_hit_at_10=round(scene.hit_at_10("popularity"), 4),
        metrics_url=scene.stage.metrics_url,
    )
