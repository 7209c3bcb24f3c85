"""How a number is read on the picture: four significant digits, a true minus sign, nothing that looks exact and is not."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

DIGITS = 4
LEAST, MOST = 1e-3, 1e4  # outside of these the number is written with an exponent
LONGEST = 12  # elements of a row, and rows, that are written out in full
EXACT = 1e-10


def number(value: float, exact: float = EXACT) -> str:
    """A number in four significant digits: `0.06`, `0.5150`, `−1.234e−5`, `NaN`, `∞`.

    A trailing zero stays where the digits after it were rounded away, and goes where the number ends there:
    0.514996 is `0.5150`, 0.515 is `0.515`. `exact` is the relative error that counts as none.

    >>> number(0.514996), number(0.515), number(-0.00001234), number(2.0), number(-0.0)
    ('0.5150', '0.515', '−1.234e−5', '2', '0')
    """
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "−∞" if value < 0 else "∞"
    if value == 0:
        return "0"
    mantissa, _, power = f"{abs(value):.{DIGITS - 1}e}".partition("e")
    exponent = int(power)
    rounded = float(f"{mantissa}e{exponent}")
    ends = abs(rounded - abs(value)) <= exact * abs(value)
    if LEAST <= rounded < MOST:
        shown = f"{abs(value):.{DIGITS - 1 - exponent}f}"
        shown = shown.rstrip("0").rstrip(".") if ends and "." in shown else shown
    else:
        mantissa = mantissa.rstrip("0").rstrip(".") if ends else mantissa
        shown = f"{mantissa}e{exponent}".replace("-", "−")
    return f"−{shown}" if value < 0 else shown


def precision(array: Array) -> float:
    """The relative error that counts as none: what a few operations in this array's precision leave behind."""
    return max(16 * float(np.finfo(array.dtype).eps), EXACT) if array.dtype.kind == "f" else 0.0


def numbers(array: Array) -> list[str]:
    """Every element as it is read, in row-major order."""
    exact = precision(array)
    return [number(float(value), exact) for value in array.ravel()]


def finite(array: Array) -> bool:
    """Whether no element is NaN or infinite."""
    return bool(np.isfinite(array).all())


def norm(array: Array) -> float:
    """The Euclidean norm of all elements, without overflow on the way."""
    return math.hypot(*map(float, array.ravel()))


def written_out(array: Array) -> str:
    """An array in full, as one line: `[0.06, −1]`; a long one by its shape and norm."""
    if array.ndim == 0:
        return number(float(array), precision(array))
    if array.ndim > 2 or max(array.shape) > LONGEST:
        shape = "×".join(map(str, array.shape))
        return f"{shape} numbers of norm {number(norm(array), precision(array))}"
    if array.ndim == 1:
        return f"[{', '.join(numbers(array))}]"
    return f"[{', '.join(written_out(row) for row in array)}]"


def elements(heats: Array) -> Array:
    """Where each element stands on a scale from -1 to 1 that is centred at 0; NaN and infinity stand at 0."""
    known = np.isfinite(heats)
    largest = float(np.abs(heats[known]).max(initial=0.0))
    scaled = np.zeros(heats.shape)
    np.divide(heats, largest or 1.0, out=scaled, where=known)
    return scaled
