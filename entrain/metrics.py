"""What the server counts, for Prometheus; nothing of it is personal. Several workers are counted together."""

from __future__ import annotations

import os
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from entrain.optional import require
from entrain.turn import Turn

SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)


class Metrics:
    """Counters of one server. With PROMETHEUS_MULTIPROC_DIR set (before anything else imports prometheus_client) the workers
    write to files there, and any of them answers for all."""

    def __init__(self) -> None:
        self._prometheus: Any = require("prometheus_client", "pip install 'entrain[serve]'", ImportError)
        self._registry = self._prometheus.CollectorRegistry()
        kind, to = self._prometheus, {"registry": self._registry}
        together = to | {"multiprocess_mode": "livesum"}
        self.turns = kind.Counter("entrain_turns", "Turns remembered.", ["speaker"], **to)
        self.audio_s = kind.Counter("entrain_audio_seconds", "Audio heard and said.", ["speaker"], **to)
        self.steps_s = kind.Histogram(
            "entrain_step_seconds", "How long a step took.", ["step"], buckets=SECONDS, **to
        )
        self.targets_s = kind.Histogram("entrain_targets_seconds", "From a turn's end to targets, the host's own time left out.",
                                        buckets=SECONDS, **to)  # fmt: skip
        self.conversations = kind.Gauge("entrain_conversations", "Conversations in memory.", **together)
        self.live = kind.Gauge("entrain_live_sessions", "Live sessions going on.", **together)
        self.faults = kind.Counter(
            "entrain_faults", "Steps that failed and were gone on without.", ["step"], **to
        )
        self.refusals = kind.Counter("entrain_refused", "Requests that were not done.", ["code"], **to)

    def refused(self, code: str) -> None:
        self.refusals.labels(code).inc()

    def count(self, turn: Turn) -> Turn:
        """The turn itself, counted."""
        self.turns.labels(turn.speaker).inc()
        self.audio_s.labels(turn.speaker).inc(max(0.0, turn.end_s - turn.start_s))
        if turn.fault:
            self.faults.labels(turn.fault.partition(":")[0]).inc()
        return turn

    @contextmanager
    def step(self, name: str) -> Generator[None]:
        began = time.perf_counter()
        yield
        self.steps_s.labels(name).observe(time.perf_counter() - began)

    def text(self) -> tuple[bytes, str]:
        """The figures, and their content type."""
        registry = self._registry
        if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
            registry = self._prometheus.CollectorRegistry()
            require("prometheus_client.multiprocess", "", ImportError).MultiProcessCollector(registry)
        return self._prometheus.generate_latest(registry), self._prometheus.CONTENT_TYPE_LATEST
