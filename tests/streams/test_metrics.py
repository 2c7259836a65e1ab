"""The series of a worker."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from models.prequential import Prequential
from streams.metrics import Metrics


def samples(metrics: Metrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Return every sample: (name, labels) -> value."""
    families = text_string_to_metric_families(metrics.render().decode())
    return {(s.name, tuple(sorted(s.labels.items()))): s.value for family in families for s in family.samples}


def test_two_workers_in_one_process_do_not_share_series() -> None:
    """Each Metrics has a registry of its own."""
    one, other = Metrics(), Metrics()
    one.lists.inc()
    assert samples(one)["freshet_lists_total", ()] == 1
    assert samples(other)["freshet_lists_total", ()] == 0


def test_prequential_sums_become_counters() -> None:
    """However often they are told, the counters stand where the sums stand."""
    metrics, sums, alone = Metrics(), Prequential(), Prequential()
    for rank in (1, 11, None, 3):
        sums.add([rank])
        alone.add([rank, 1])
        metrics.count_prequential("all", {"freshet": sums}, alone)
        metrics.count_prequential("all", {"freshet": sums}, alone)
    labels = (("scorer", "freshet"), ("variant", "all"))
    found = samples(metrics)
    assert found["freshet_prequential_scored_total", labels] == 4
    assert found["freshet_prequential_hits_total", labels] == 2
    assert found["freshet_prequential_ndcg_sum_total", labels] == pytest.approx(1.5)
    variant = labels[1:]
    assert found["freshet_interest_scored_total", variant] == 8
    assert found["freshet_interest_hits_total", variant] == 6
    assert found["freshet_interest_ndcg_sum_total", variant] == pytest.approx(5.5)


def test_what_is_running_is_said() -> None:
    """Version, Python, torch and device are labels of a gauge that is 1."""
    metrics = Metrics()
    metrics.identify("cpu")
    ((name, labels), value), *more = [
        (key, value) for key, value in samples(metrics).items() if key[0] == "freshet_build_info"
    ]
    assert (name, value, more) == ("freshet_build_info", 1, [])
    assert {label for label, text in labels if text} == {"version", "python", "torch", "device"}


def test_every_series_has_its_prefix() -> None:
    """All names begin with freshet_, so that a dashboard finds them together."""
    families = text_string_to_metric_families(Metrics().render().decode())
    assert all(family.name.startswith("freshet_") for family in families)
