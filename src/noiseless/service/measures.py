"""What the service counts, for Prometheus."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)


class Measures:
    """Counters and gauges of one service."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        labels = ("method", "route", "status")
        self.requests = Counter("noiseless_requests", "Requests answered.", labels, registry=registry)
        self.seconds = Histogram(
            "noiseless_request_seconds", "Time to the end of an answer.", ("route",), buckets=SECONDS, registry=registry
        )
        self.images = Counter("noiseless_images", "Images denoised.", ("model",), registry=registry)
        self.pixels = Counter("noiseless_pixels", "Pixels denoised.", ("model",), registry=registry)

    def count(self, model: str, pixels: int) -> None:
        """An image was denoised."""
        self.images.labels(model).inc()
        self.pixels.labels(model).inc(pixels)

    def watch(self, name: str, what: str, value: Callable[[], float]) -> None:
        """A gauge whose value is asked for when somebody looks."""
        Gauge(f"noiseless_{name}", what, registry=self._registry).set_function(value)

    def text(self) -> bytes:
        """All of it in Prometheus' text format."""
        return generate_latest(self._registry)
