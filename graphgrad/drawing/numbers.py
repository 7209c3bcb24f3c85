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


MOST_ROWS = 12
"""How many rows and columns of numbers a formula has at most."""

LONGEST_COLUMN = 5
"""How many numbers stand below each other; a longer vector is written as a transposed row."""


def in_tex(value: float, exact: float = EXACT) -> str:
    r"""A number as it stands in a TeX formula: `0.06`, `-1.234 \cdot 10^{-5}`.

    >>> in_tex(0.514996), in_tex(-0.00001234)
    ('0.5150', '-1.234 \\cdot 10^{-5}')
    """
    shown = number(value, exact).replace("−", "-")
    if "∞" in shown:
        return shown.replace("∞", r"\infty")
    mantissa, _, power = shown.partition("e")
    if shown == "NaN":
        return r"\text{NaN}"
    return rf"{mantissa} \cdot 10^{{{power}}}" if power else mantissa


def array_in_tex(array: Array, most: int = MOST_ROWS) -> str | None:
    """An array as a column or a matrix of numbers; None where it has more than `most` rows or columns."""
    exact = precision(array)
    if array.size == 1:
        return in_tex(float(array.reshape(())), exact)
    if array.ndim > 2 or max(array.shape) > most or not array.size:
        return None
    if array.ndim == 1 and len(array) > LONGEST_COLUMN:
        return rf"{array_in_tex(array[np.newaxis])}^{{\top}}"
    rows = array.reshape(len(array), -1)
    body = r" \\ ".join(" & ".join(in_tex(float(value), exact) for value in row) for row in rows)
    return rf"\begin{{pmatrix}} {body} \end{{pmatrix}}"


def summary(array: Array) -> str:
    """What a formula has no room for: `8×24×24 numbers from −1.2 to 3.4, of norm 17.5`."""
    shape = "×".join(map(str, array.shape))
    if not array.size:
        return f"{shape} numbers"
    exact = precision(array)
    low, high, length = (number(float(value), exact) for value in (array.min(), array.max(), norm(array)))
    return f"{shape} numbers from {low} to {high}, of norm {length}"
