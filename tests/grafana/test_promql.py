"""The reader of queries finds what a Prometheus would silently answer with nothing."""

import pytest

from tests.grafana.promql import QueryError, labels_of

SERIES: dict[str, dict[str, set[str]]] = {
    "up": {"job": set()},
    "a_total": {"job": set(), "kind": {"x", "y"}},
    "b_total": {"job": set(), "kind": {"x", "y"}, "more": set()},
    "c_bucket": {"job": set(), "le": {"1.0", "+Inf"}},
    "c_count": {"job": set()},
}


@pytest.mark.parametrize(
    ("query", "labels"),
    [
        ("up", {"job"}),
        ("a_total > 5", {"job", "kind"}),
        ("1 - sum by (job) (rate(a_total[5m]))", {"job"}),
        ('sum(rate(c_bucket{le="1.0"}[$window])) / sum(rate(c_count[$window]))', set()),
        ("histogram_quantile(0.99, sum by (le, job) (rate(c_bucket[1m])))", {"job"}),
        ("sum(a_total) or vector(0)", set()),
        ('sum by (job) (up) or absent(up{job="a"}) - 1', {"job"}),
        ("a_total > 0 unless a_total offset 15m", {"job", "kind"}),
        ("a_total and on (job) up", {"job", "kind"}),
        ("abs(a_total) == Inf", {"job", "kind"}),
        ("2 * 3", None),
    ],
)
def test_labels_follow_the_operators(query: str, labels: set[str] | None) -> None:
    """The labels of a result are those that Prometheus would leave."""
    assert labels_of(query, SERIES) == (None if labels is None else frozenset(labels))


@pytest.mark.parametrize(
    "query",
    [
        "d_total",
        'a_total{colour="red"}',
        'a_total{kind="z"}',
        'rate(c_bucket{le="1"}[5m])',
        "rate(a_total)",
        "sum by (more) (a_total)",
        "a_total / b_total",
        "a_total - on (job) up",
        "a_total and on (more) b_total",
        "sum by (job) (a_total) or vector(0)",
        "histogram_quantile(0.5, sum by (job) (rate(c_bucket[5m])))",
        "sum(a_total",
        "sum(a_total))",
        "quantile_of(a_total)",
        "a_total %% 2",
    ],
)
def test_what_would_not_work_is_found(query: str) -> None:
    """A series, label or value that does not exist, and vectors that never match, are errors."""
    with pytest.raises(QueryError):
        labels_of(query, SERIES)
