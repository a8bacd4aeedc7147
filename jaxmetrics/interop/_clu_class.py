"""Arguments of a metric class of clu, and the check that its states can be merged."""

from __future__ import annotations

import inspect

from jaxmetrics._lazy import optional


def parameters(metric_class: type) -> tuple[dict[str, bool], bool]:
    """Return the arguments of `from_model_output`, and whether it takes any other.

    Returns:
      Whether each argument is required, by name; True if there is a `**kwargs`.
    """
    parameters = inspect.signature(metric_class.from_model_output).parameters.values()
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    known = {p.name: p.default is p.empty for p in parameters if p.kind in named}
    return known, any(p.kind is p.VAR_KEYWORD for p in parameters)


def without_from_output(
    metric_class: type, names: dict[str, str]
) -> tuple[type, dict[str, str]]:
    """Return the base and the output name of `Average.from_output("loss")`.

    `from_output` returns a new class at every call, which would be compiled again and
    cannot be pickled.
    """
    if not metric_class.__qualname__.endswith("from_output.<locals>.FromOutput"):
        return metric_class, names
    closure = inspect.getclosurevars(metric_class.from_model_output.__func__)
    (base,) = metric_class.__bases__
    return base, {next(iter(parameters(base)[0])): closure.nonlocals["name"]} | names


def refuse_unmergeable(metric_class: type) -> None:
    """Refuse a class whose states cannot be merged."""
    with optional("from_clu()", "clu"):
        import clu.metrics

    name = getattr(metric_class, "__name__", repr(metric_class))
    if not (
        isinstance(metric_class, type) and issubclass(metric_class, clu.metrics.Metric)
    ):
        raise TypeError(
            f"from_clu: got {name}; expected a class of clu's metrics. Pass one such "
            "as clu.metrics.Average."
        )
    if metric_class.__qualname__.endswith("from_fun.<locals>.FromFun"):
        base = metric_class.__bases__[0].__name__
        own = dict(Average="Mean", LastValue="Last").get(base, base)
        raise TypeError(
            f"from_clu: got {base}.from_fun(...), a class without a name, which cannot "
            f"be pickled; expected a named class. Write jm.{own}.from_fun(...) with "
            "the same function."
        )
    if issubclass(metric_class, clu.metrics.CollectingMetric):
        raise TypeError(
            f"from_clu: {name} collects every batch on the host, so its state grows; "
            "expected a state of fixed size. Collect rows with a buffer_leaf."
        )
    if metric_class.merge is clu.metrics.Metric.merge:
        raise TypeError(
            f"from_clu: {name} defines no merge, so its batches cannot be combined. "
            "Use another class, or a metric of jaxmetrics."
        )
