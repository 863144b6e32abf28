from __future__ import annotations

import threading

from prometheus_client.parser import text_string_to_metric_families
from unit.predictor.support import service

from riskpredictor_server.metrics import Counter, Metrics


def test_the_official_parser_reads_the_exposition() -> None:
    serving = service()
    serving.observe("/predict", 200, 0.0004, "id")
    serving.observe("/predict", 422, 0.3, "id")
    text = serving.exposition().body.decode()
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert families["riskpredictor_requests"].type == "counter"
    histogram = families["riskpredictor_request_duration_seconds"]
    samples = {s.labels.get("le"): s.value for s in histogram.samples if s.name.endswith("bucket")}
    assert samples["0.00025"] == 0
    assert samples["0.0005"] == 1
    assert samples["0.25"] == 1
    assert samples["0.5"] == samples["+Inf"] == 2
    info = families["riskpredictor_model_info"].samples[0].labels
    assert info["model_version"] == "v1"
    assert families["riskpredictor_ready"].samples[0].value == 1
    assert families["process_resident_memory_bytes"].samples[0].value > 1e6
    assert all(family.documentation for family in families.values())


def test_label_values_are_escaped() -> None:
    counter = Counter("c_total", "Help.", ("name",))
    counter.add(('quote " slash \\ line \n end',))
    (family,) = text_string_to_metric_families("\n".join(counter.lines()) + "\n")
    assert family.samples[0].labels["name"] == 'quote " slash \\ line \n end'


def test_large_counts_keep_every_digit() -> None:
    counter = Counter("c_total", "Help.", ())
    counter.add((), 123_456_789)
    assert counter.lines()[-1] == "c_total 123456789"


def test_counting_from_several_threads_loses_nothing() -> None:
    metrics = Metrics()

    def count() -> None:
        for _ in range(5000):
            metrics.requests.observe("/predict", 200, 0.01)

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = metrics.requests.lines()
    assert 'riskpredictor_requests_total{route="/predict",status="200"} 20000' in lines
    assert lines[-1] == 'riskpredictor_request_duration_seconds_count{route="/predict"} 20000'
