"""What every sample of every operation is held to; each check is one function that raises AssertionError.

The tests call them on all samples, and the seeded faults call them to see that they catch what they are there for.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.testing import assert_allclose

from graphgrad.graph import Node
from tests.ops.bench import Case, N

EPSILON = np.finfo(np.float64).eps


def close(got: np.ndarray, expected: np.ndarray, rtol: float, what: str) -> None:
    """Equal within `rtol` of the largest element, for elements of a sum may cancel."""
    got, expected = np.asarray(got), np.asarray(expected)
    assert got.shape == expected.shape, f"{what}: shape {got.shape}, expected {expected.shape}"
    finite = np.abs(expected[np.isfinite(expected)])
    assert_allclose(got, expected, rtol=rtol, atol=rtol * finite.max(initial=0.0), err_msg=what, equal_nan=True)


def value(case: Case) -> None:
    """y against the sample's own NumPy formula; with it the shape rule and the flag per_sample."""
    arrays = case.draw()
    (y,) = case.reference([case.y], arrays)
    expected = case.formula(arrays)
    each = any(operand.per_sample for operand in case.operands) or case.sample.name == "batch_spread"
    assert case.sample.whole or case.y.per_sample == each
    close(y, expected, 1e-13, f"{case.sample}: value")


def gradient(case: Case) -> None:
    """J^T u against the formula's own derivative: by complex step, or by differences where it is not analytic."""
    arrays = case.draw()
    for operand, derived in zip(case.operands, case.gradients, strict=True):
        expected = _slopes(case, operand, arrays)
        if derived is None:
            close(np.zeros_like(expected), expected, 1e-9, f"{case.sample}: the gradient that is said not to exist")
        else:
            (got,) = case.reference([derived], arrays)
            close(got, expected, 1e-11 if case.sample.smooth else 1e-9, f"{case.sample}: gradient")


def _slopes(case: Case, operand: Node, arrays: dict[Node, np.ndarray]) -> np.ndarray:
    """∂(Σ u ⊙ formula)/∂operand, element by element."""
    u, start = arrays[case.u], arrays[operand]
    slopes = np.zeros(start.shape)
    for position in np.ndindex(start.shape):
        unit = np.zeros(start.shape)
        unit[position] = 1.0
        if case.sample.smooth:
            moved = case.formula({**arrays, operand: start + 1e-40j * unit})
            slopes[position] = np.sum(u * moved.imag) / 1e-40
        else:
            ends = [np.sum(u * case.formula({**arrays, operand: start + h * unit})) for h in (1e-4, -1e-4)]
            slopes[position] = (ends[0] - ends[1]) / 2e-4
    return slopes


def adjoint(case: Case) -> None:
    """<Jv, u> = <v, J^T u>, with Jv by differences of the graph's own y, whose error shrinks as the square of the step."""
    arrays = case.draw()
    moved = [(v, node) for v, node in zip(case.moving, case.gradients, strict=True) if node is not None]
    gradients = case.reference([node for _, node in moved], arrays)
    products = [arrays[v] * gradient for (v, _), gradient in zip(moved, gradients, strict=True)]
    size = sum(float(np.sum(np.abs(product))) for product in products) or 1.0

    def along(step: float) -> float:
        (y,) = case.reference([case.y], case.move(arrays, step))
        return float(np.sum(arrays[case.u] * y))

    shrinks(along, sum(map(np.sum, products)), size, 8e-3, f"{case.sample}: adjoint identity")


def shrinks(along: Callable[[float], float], slope: float, size: float, step: float, what: str) -> None:
    """The central differences of a function come to its slope, with an error that shrinks by 4 when the step is halved."""
    steps = np.array([step, step / 2, step / 4])
    ends = np.array([[along(h), along(-h)] for h in steps])
    noise = 8 * EPSILON * (np.abs(ends).max() + size) / steps
    differences = (ends[:, 0] - ends[:, 1]) / (2 * steps)
    errors = np.abs(differences - slope)
    once = (4 * differences[1:] - differences[:-1]) / 3
    best = (16 * once[1] - once[0]) / 15
    assert abs(best - slope) <= 1e-7 * size + noise[2], f"{what}: {slope} is derived, {best} by differences"
    for coarse, fine, floor in zip(errors, errors[1:], noise[1:], strict=False):
        if fine > 1e3 * floor and fine > 1e-9 * size:
            assert 3.5 < coarse / fine < 4.6, (
                f"{what}: the error of differences shrinks by {coarse / fine:.2f}, not by 4"
            )


def second(case: Case) -> None:
    """The gradient differentiated again, times a vector, against differences of the gradient along that vector."""
    arrays = case.draw()
    for operand, first, again in zip(case.operands, case.gradients, case.second, strict=True):
        if first is None:
            continue
        got = np.zeros_like(arrays[operand]) if again is None else case.reference([again], arrays)[0]

        def along(step: float, first: Node = first) -> np.ndarray:
            return case.reference([first], case.move(arrays, step))[0]

        coarse, fine = ((along(h) - along(-h)) / (2 * h) for h in (4e-3, 2e-3))
        expected = (4 * fine - coarse) / 3
        size = max(np.abs(along(0.0)).max(), np.abs(got).max())
        assert_allclose(got, expected, rtol=1e-6, atol=2e-8 * size, err_msg=f"{case.sample}: second derivative")


def lifting(case: Case) -> None:
    """N samples at once are N times one sample; the gradient of what they share is the sum of theirs."""
    if case.sample.whole:
        return
    arrays = case.draw()
    derived = [node for node in case.gradients if node is not None]
    wrt = [operand for operand, node in zip(case.operands, case.gradients, strict=True) if node is not None]
    at_once = case.reference([case.y, *derived], arrays)
    one_by_one = []
    for n in range(N):
        alone = {leaf: array[n : n + 1] if leaf.per_sample else array for leaf, array in arrays.items()}
        one_by_one.append(case.reference([case.y, *derived], alone, samples=1))
    for k, node in enumerate([case.y, *wrt]):
        parts = [values[k] for values in one_by_one]
        if node.per_sample:
            expected = np.concatenate(parts)
        else:
            expected = parts[0] if node is case.y or not case.y.per_sample else np.sum(parts, axis=0)
        close(at_once[k], expected, 1e-13, f"{case.sample}: {N} samples at once")


CHECKS = (value, gradient, adjoint, second, lifting)
