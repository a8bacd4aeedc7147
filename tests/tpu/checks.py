"""What must not be in a program: each check gives what it found, or nothing."""

import re


def host_calls(program):
    """Callbacks, infeed, outfeed."""
    return program.host_calls()


def communication(program):
    """Anything that one device tells another."""
    between = program.sent_between_slices()
    return program.collectives() + ["send to another slice"] * between


def more_than_three_all_reduces(program):
    """Other collectives, or more of them.

    Between slices an all-reduce is one in each slice, then an exchange; the compiler
    splits a large one over the slice's devices, and gathers it after the exchange.
    """
    found, exchanges = program.collectives(), program.sent_between_slices()
    reduces, gathers = found.count("all-reduce"), found.count("all-gather")
    known = reduces + gathers == len(found) and gathers <= exchanges <= reduces
    return [] if known and 1 <= reduces <= 3 else found


def float64(text):
    """Steps of a program, as jax wrote it, that compute a float64.

    A constant is none: where 64 bits are allowed jax writes a Python number so, and
    converts it at once.
    """
    steps = [line.strip() for line in text.splitlines() if "stablehlo." in line]
    return [x for x in steps if _FLOAT64.search(x) and "constant" not in x][:3]


_FLOAT64 = re.compile(r": tensor<[^>]*f64>|-> .*f64")
