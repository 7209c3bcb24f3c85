"""Numbers as if drawn at random, out of four whole numbers: what noise is made of, the same on every target."""

from __future__ import annotations

from typing import Any

import numpy as np

_FIRST, _SECOND = np.uint64(0x7FEB352D), np.uint64(0x846CA68B)
_LOW, _8, _15, _16 = np.uint64(0xFFFFFFFF), np.uint64(8), np.uint64(15), np.uint64(16)
_PART = np.float32(2**-24)


def mixed(h: Any) -> Any:
    """A permutation of the numbers of 32 bits in which each bit depends on all the others.

    Source: Wellons, Prospecting for hash functions, 2018 (lowbias32).
    """
    h = ((h ^ (h >> _16)) * _FIRST) & _LOW
    h = ((h ^ (h >> _15)) * _SECOND) & _LOW
    return h ^ (h >> _16)


def hashed(key: Any, step: Any, sample: Any, element: Any) -> Any:
    """A number from 0 on and below 1, in parts of 2**-24, that is as if drawn anew for every four whole numbers.

    For arrays as for the numbers of compiled code, which has these two functions as they stand.
    """
    h = mixed(np.uint64(key))
    h = mixed(h ^ np.uint64(step))
    h = mixed(h ^ np.uint64(sample))
    h = mixed(h ^ np.uint64(element))
    return np.float32(h >> _8) * _PART
