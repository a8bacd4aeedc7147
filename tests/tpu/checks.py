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
    """Where a program, written or optimized, has a float64."""
    return re.findall(r".*f64[\[>,].*", text)[:3]
