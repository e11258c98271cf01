"""Prometheus metrics of a service."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from .jobs import JobRoom
from .observer import Observer
from .service import SpeechService

CONTENT_TYPE = CONTENT_TYPE_LATEST
_SECONDS = (0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 30, 60)
_FACTORS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10)


class Metrics(Observer):
    """Counts what a :class:`SpeechService` tells; ``watch`` adds what it holds at the moment."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._requests = Counter(
            "chattts_requests",
            "Requests for speech by variant and outcome",
            ("variant", "outcome"),
            registry=self.registry,
        )
        self._audio = Counter(
            "chattts_audio_seconds", "Speech made", ("variant",), registry=self.registry
        )
        self._first = Histogram(
            "chattts_first_audio_seconds",
            "Time from admission to the first audio",
            ("variant",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._total = Histogram(
            "chattts_request_seconds",
            "Time from admission to the last audio, of requests that ended well",
            ("variant",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._rtf = Histogram(
            "chattts_rtf",
            "Real-time factor: time a request took over the length of its speech",
            ("variant",),
            buckets=_FACTORS,
            registry=self.registry,
        )
        self._takes = Counter(
            "chattts_takes_refused",
            "Takes that went wrong, by fault: drawn again, or kept as the last one allowed",
            ("variant", "fault", "outcome"),
            registry=self.registry,
        )
        self._exchanges = Counter(
            "chattts_bundle_exchanges",
            "Bundles exchanged while serving",
            ("variant", "outcome"),
            registry=self.registry,
        )

    def watch(self, service: SpeechService, jobs: JobRoom) -> None:
        """Report this service's queue and slots and these jobs."""
        self.registry.register(_State(service, jobs))

    def text(self) -> bytes:
        """The exposition format."""
        return generate_latest(self.registry)

    def first_audio(self, variant: str, seconds: float) -> None:
        self._first.labels(variant).observe(seconds)

    def ended(self, variant: str, outcome: str, seconds: float, audio_seconds: float) -> None:
        self._requests.labels(variant, outcome).inc()
        self._audio.labels(variant).inc(audio_seconds)
        if outcome == "ok" and audio_seconds > 0:
            self._total.labels(variant).observe(seconds)
            self._rtf.labels(variant).observe(seconds / audio_seconds)

    def drawn(self, variant: str, refused: Mapping[str, int], faults: Mapping[str, int]) -> None:
        for outcome, counts in (("again", refused), ("kept", faults)):
            for fault, count in counts.items():
                self._takes.labels(variant, fault, outcome).inc(count)

    def refused(self, outcome: str) -> None:
        self._requests.labels("", outcome).inc()

    def exchanged(self, variant: str, outcome: str) -> None:
        self._exchanges.labels(variant, outcome).inc()


class _State:
    def __init__(self, service: SpeechService, jobs: JobRoom) -> None:
        self._service = service
        self._jobs = jobs

    def collect(self) -> Iterator[Metric]:
        slots = GaugeMetricFamily("chattts_slots", "Slots of an engine", labels=["variant"])
        active = GaugeMetricFamily("chattts_slots_active", "Slots in use", labels=["variant"])
        waiting = GaugeMetricFamily("chattts_waiting", "Pieces without a slot", labels=["variant"])
        load = self._service.load()
        settings = self._service.settings
        for name, (run, wait) in load.items():
            slots.add_metric([name], 1 if settings.naive else settings.slots)
            active.add_metric([name], run)
            waiting.add_metric([name], wait)
        yield from (slots, active, waiting)
        under_way = self._service.active
        running = sum(run for run, _ in load.values())
        yield GaugeMetricFamily(
            "chattts_requests_active", "Requests under way, waiting ones included", under_way
        )
        yield GaugeMetricFamily(
            "chattts_queue_depth", "Requests under way without a slot", max(0, under_way - running)
        )
        yield GaugeMetricFamily(
            "chattts_queue_limit", "Requests that may be under way", settings.limit
        )
        jobs = GaugeMetricFamily("chattts_batch_jobs", "Batch jobs kept", labels=["state"])
        for state, count in self._jobs.counts().items():
            jobs.add_metric([state], count)
        yield jobs
        held = self._jobs.bytes()
        yield GaugeMetricFamily("chattts_batch_bytes", "Bytes of batch jobs on the disk", held)
