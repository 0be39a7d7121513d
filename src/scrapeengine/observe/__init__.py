"""Observation of a run from outside: instruments, and log lines.

What a run does without is imported when it is first asked for.
"""

import importlib
import importlib.util
import typing

if typing.TYPE_CHECKING:
    from scrapeengine.observe.endpoint import serve_metrics
    from scrapeengine.observe.live.dashboard import Dashboard
    from scrapeengine.observe.progress import Progress
    from scrapeengine.observe.prometheus import Prometheus
    from scrapeengine.observe.recording import Recording
    from scrapeengine.observe.traces import Traces, trace_context

__all__ = ["Dashboard", "Progress", "Prometheus", "Recording", "Traces", "serve_metrics", "trace_context"]

_LATER = {
    "Dashboard": "scrapeengine.observe.live.dashboard",
    "Progress": "scrapeengine.observe.progress",
    "Prometheus": "scrapeengine.observe.prometheus",
    "Recording": "scrapeengine.observe.recording",
    "Traces": "scrapeengine.observe.traces",
    "serve_metrics": "scrapeengine.observe.endpoint",
    "trace_context": "scrapeengine.observe.traces",
}
"""Where each name is that is imported when it is first asked for."""
_EXTRAS = {"prometheus_client": "metrics", "opentelemetry": "otel"}
"""What to install where a library is missing."""


def __getattr__(name: str) -> typing.Any:
    """Import what is asked for (PEP 562)."""
    if name not in _LATER:
        raise AttributeError(f"module 'scrapeengine.observe' has no attribute {name!r}")
    try:
        module = importlib.import_module(_LATER[name])
    except ModuleNotFoundError as error:
        extra = _EXTRAS.get((error.name or "").partition(".")[0])
        if extra is None:
            raise
        raise ImportError(f"se.observe.{name} needs more: pip install 'scrapeengine[{extra}]'") from error
    value = globals()[name] = getattr(module, name)
    return value


_NEEDS = {
    "Prometheus": "prometheus_client",
    "Traces": "opentelemetry",
    "serve_metrics": "prometheus_client",
    "trace_context": "opentelemetry",
}
"""The names that cannot be imported without a library."""


def __dir__() -> list[str]:
    """List what there is; not what lacks a library, for who asks for each name of a list takes it to be there."""
    lacking = {name for name, library in _NEEDS.items() if importlib.util.find_spec(library) is None}
    return sorted({*globals(), *_LATER} - lacking)
