"""A metric class of clu: what it takes, and whether its states add up."""

from __future__ import annotations

import inspect

from jaxmetrics._lazy import optional


def parameters(metric_class: type) -> tuple[dict[str, bool], bool]:
    """What `from_model_output` takes, true where required, and whether any more."""
    parameters = inspect.signature(metric_class.from_model_output).parameters.values()
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    known = {p.name: p.default is p.empty for p in parameters if p.kind in named}
    return known, any(p.kind is p.VAR_KEYWORD for p in parameters)


def without_from_output(
    metric_class: type, names: dict[str, str]
) -> tuple[type, dict[str, str]]:
    """The class and the output that `Average.from_output("loss")` was made of.

    It makes a new class at every call, which would compile again and does not pickle.
    """
    if not metric_class.__qualname__.endswith("from_output.<locals>.FromOutput"):
        return metric_class, names
    made = inspect.getclosurevars(metric_class.from_model_output.__func__)
    (base,) = metric_class.__bases__
    return base, {next(iter(parameters(base)[0])): made.nonlocals["name"]} | names


def refuse_unmergeable(metric_class: type) -> None:
    """Refuse a class whose states do not add up."""
    with optional("from_clu()", "clu"):
        import clu.metrics

    name = getattr(metric_class, "__name__", repr(metric_class))
    if not (
        isinstance(metric_class, type) and issubclass(metric_class, clu.metrics.Metric)
    ):
        raise TypeError(
            f"from_clu: {name} is no class of clu's metrics. Pass a class such as "
            "clu.metrics.Average."
        )
    if issubclass(metric_class, clu.metrics.CollectingMetric):
        raise TypeError(
            f"from_clu: {name} keeps every batch on the host, so its state grows. Keep "
            "rows with a metric that declares a buffer_leaf."
        )
    if metric_class.merge is clu.metrics.Metric.merge:
        raise TypeError(
            f"from_clu: {name} defines no merge, so its batches do not add up. Take "
            "another class, or one of ours."
        )
