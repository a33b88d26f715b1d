"""Numbers that follow from a seed alone: the same on every machine, in every process, in any order."""

from hashlib import blake2b
from random import Random

_SPAN = 1 << 64


def stable_int(*parts: str | int) -> int:
    """Return a 64-bit number that depends on the parts and on nothing else."""
    text = "\x1f".join(map(str, parts)).encode()
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "big")


def stable_share(*parts: str | int) -> float:
    """Return a number in [0, 1) that depends on the parts and on nothing else."""
    return stable_int(*parts) / _SPAN


def stable_random(*parts: str | int) -> Random:
    """Return a generator whose `random()` sequence depends on the parts and on nothing else."""
    return Random(stable_int(*parts))
