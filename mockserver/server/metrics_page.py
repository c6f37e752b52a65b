"""GET /_mock/metrics: the counts of a namespace in Prometheus' text format."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from mockserver.dialects.names import dialect_name
from mockserver.server.histogram import Histogram
from mockserver.server.service import MockService
from replay.version import tool_version

CONTENT_TYPE = CONTENT_TYPE_LATEST
"""Of the page."""


def metrics_page(service: MockService) -> bytes:
    """The page, in UTF-8."""
    return page_of(families(service))


def families(service: MockService) -> list[Metric]:
    """The counts of this process."""
    return [*ProcessCollector(registry=None).collect(), *_Collector(service).collect()]


def page_of(families: Iterable[Metric]) -> bytes:
    """The text of counts, in UTF-8."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Kept(families))
    return generate_latest(registry)


class _Kept(Collector):
    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


class _Collector(Collector):
    def __init__(self, service: MockService) -> None:
        self._service = service

    def collect(self) -> Iterable[Metric]:
        service, metrics = self._service, self._service.metrics
        info = GaugeMetricFamily("realtape_info", "Version and dialect; always 1.", labels=["version", "dialect"])
        info.add_metric([tool_version(), dialect_name(service.options.dialect)], 1)
        yield info
        yield GaugeMetricFamily("realtape_sessions", "Sessions that are open.", len(service.open_sessions))
        yield _counted("realtape_sessions_opened", "Sessions that opened.", "dialect", metrics.opened)
        yield _counted("realtape_sessions_closed", "Sessions that ended, by close code.", "code", metrics.closed)
        yield _spread("realtape_session_seconds", "How long sessions lasted.", {"": metrics.session_s})
        yield _counted("realtape_turns", "Responses that ended, by status.", "status", metrics.turns)
        yield _spread(
            "realtape_first_audio_seconds",
            "From the start of a response to its first audio.",
            {"": metrics.first_audio_s},
        )
        yield CounterMetricFamily("realtape_audio_seconds", "Seconds of audio in responses.", metrics.audio_s)
        yield CounterMetricFamily("realtape_usd", "What sessions would have cost, in USD.", metrics.usd)
        yield _spread(
            "realtape_lateness_seconds", "How late the server was with what was due.", {"": service.clock.lateness}
        )
        yield CounterMetricFamily("realtape_received_bytes", "Bytes of clients' messages.", service.journal.bytes_in)
        yield CounterMetricFamily("realtape_sent_bytes", "Bytes of messages to clients.", service.journal.bytes_out)
        yield _counted("realtape_findings", "Mistakes of clients, by rule.", "rule", metrics.findings)
        yield _counted("realtape_errors_sent", "Error events that were sent, by code.", "code", metrics.errors)
        yield _counted("realtape_refused", "Handshakes and requests refused, by status.", "status", metrics.refused)
        yield _counted("realtape_calls", "Calls by what happened to them.", "event", metrics.calls)
        yield _counted("realtape_faults", "Faults that were triggered, by kind.", "kind", service.faults.counts)
        yield GaugeMetricFamily("realtape_internal_errors", "Failures inside the mock.", len(service.errors))
        waiting = GaugeMetricFamily("realtape_work_waiting", "Work that runs or waits.", labels=["work"])
        for name, begun in service.factory.equipment.outside.lanes.begun().items():
            waiting.add_metric([name], begun)
        yield waiting
        yield _spread("realtape_work_seconds", "How long work took that sessions asked for.", metrics.work_s, "work")
        yield from _memory(service)


def _memory(service: MockService) -> Iterable[Metric]:
    kept = GaugeMetricFamily("realtape_kept", "What is open or kept between connections.", labels=["what"])
    held = GaugeMetricFamily("realtape_kept_bytes", "Bytes of what is kept.", labels=["what"])
    for what, amounts in service.memory().items():
        for unit, family in (("count", kept), ("bytes", held)):
            if unit in amounts:
                family.add_metric([what], amounts[unit])
    return kept, held


def _counted(name: str, help: str, label: str, counts: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily(name, help, labels=[label])
    for value, count in sorted(counts.items()):
        family.add_metric([value], count)
    return family


def _spread(name: str, help: str, histograms: Mapping[str, Histogram], label: str = "") -> Metric:
    family = HistogramMetricFamily(name, help, labels=[label] if label else [])
    for value, histogram in sorted(histograms.items()):
        buckets, so_far = [], 0
        for bound, count in zip((*map(str, histogram.bounds), "+Inf"), histogram.counts, strict=True):
            so_far += count
            buckets.append((bound, float(so_far)))
        family.add_metric([value] if label else [], buckets, histogram.total)
    return family
