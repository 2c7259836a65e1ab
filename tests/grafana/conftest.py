"""The series that dashboards and alerts may use: what a worker exports, as Prometheus stores it."""

import pytest
from prometheus_client.metrics import MetricWrapperBase

from models.prequential import BASELINES
from streams.metrics import Metrics
from streams.scoreboard import SCORER

OF_TARGETS: dict[str, set[str]] = {"job": set(), "instance": set()}


@pytest.fixture(scope="session")
def scraped() -> dict[str, dict[str, set[str]]]:
    """Give every series that a scrape of a worker yields: name -> label -> its values, where known."""
    metrics = Metrics()
    for each in vars(metrics).values():
        if isinstance(each, MetricWrapperBase) and each._labelnames:
            each.labels(*each._labelnames)  # one child, so that it has samples
    series: dict[str, dict[str, set[str]]] = {"up": dict(OF_TARGETS)}
    for family in metrics.registry.collect():
        for sample in family.samples:
            labels = series.setdefault(sample.name, {label: set() for label in (*OF_TARGETS, *sample.labels)})
            if "le" in labels:
                labels["le"].add(sample.labels["le"])
            if "scorer" in labels:
                labels["scorer"] = {SCORER, *BASELINES}
    return series
