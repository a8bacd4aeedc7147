"""Benchmarks: ratios measured side by side, each to a named floor."""
