"""The engine's figures among Triton's own on its metrics port."""

from __future__ import annotations

import threading
from typing import Any


class Metrics:
    """``chattts_slots_running``, ``chattts_requests_waiting`` and ``chattts_requests_total``.

    ``backend`` is the module ``triton_python_backend_utils``; ``instance`` tells the processes of
    several instances apart, and ``channel`` is held during calls into Triton.
    """

    def __init__(self, backend: Any, instance: str, channel: threading.Lock) -> None:
        self._channel = channel
        family = backend.MetricFamily
        self._running = self._gauge(
            family, "chattts_slots_running", "Requests that speak", instance
        )
        self._waiting = self._gauge(
            family, "chattts_requests_waiting", "Requests that wait for a slot", instance
        )
        self._family = family(
            name="chattts_requests_total",
            description="Ended requests by outcome: spoken, cancelled, refused, failed",
            kind=family.COUNTER,
        )
        self._counters = {
            outcome: self._family.Metric(labels={"instance": instance, "outcome": outcome})
            for outcome in ("spoken", "cancelled", "refused", "failed")
        }
        self._shown: tuple[int, int] | None = None

    def count(self, outcome: str) -> None:
        """Note the end of a request."""
        with self._channel:
            self._counters[outcome].increment(1)

    def show_load(self, running: int, waiting: int) -> None:
        """Set the gauges; costs nothing while they do not change."""
        if (running, waiting) != self._shown:
            self._shown = (running, waiting)
            with self._channel:
                self._running.set(running)
                self._waiting.set(waiting)

    def _gauge(self, family: Any, name: str, description: str, instance: str) -> Any:
        made = family(name=name, description=description, kind=family.GAUGE)
        metric = made.Metric(labels={"instance": instance})
        # A metric does not keep its family alive.
        self._families = [*getattr(self, "_families", []), made]
        return metric
