"""The numeric gradient check, node by node: what the reverse sweep derived against differences of the values.

The value of a node in the middle of the graph is moved a little both ways and everything after it is evaluated again,
so a wrong rule shows at the first node behind it and not only at the parameters.
"""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from graphgrad.calculus.gradient import no_path, sweep
from graphgrad.graph import DataError, GradientError, Graph, Node, ancestors, computed_from
from graphgrad.graph.data import Array, bind
from graphgrad.graph.domain import check, expected
from graphgrad.ops.reference import evaluate

AGREES, KINK, UNDECIDED, WRONG, NOT_FINITE, NO_GRADIENT = (
    "agrees",
    "kink",
    "undecided",
    "wrong",
    "not finite",
    "no gradient",
)
_FROM_BEST_TO_WORST = (NO_GRADIENT, KINK, AGREES, UNDECIDED, NOT_FINITE, WRONG)
_EPSILON = float(np.finfo(np.float64).eps)


@dataclass(frozen=True, slots=True)
class Element:
    """One comparison: an element of a node, or a random direction through all of them (`position` is None)."""

    position: tuple[int, ...] | None
    analytic: float
    numeric: float
    error: float  # |analytic - numeric|, relative; within the tolerance where it is at most rtol
    verdict: str


@dataclass(frozen=True, slots=True)
class Row:
    """The comparison of one gradient ∂of/∂node; the norms are those over the elements that were judged."""

    node: Node
    shape: tuple[int, ...]
    elements: tuple[Element, ...]
    size: int
    reason: str = ""

    @property
    def name(self) -> str:
        """The identifier of the node."""
        return self.node.name.ident if self.node.name else self.node.text()

    @property
    def checked(self) -> int:
        """How many elements were checked one by one."""
        return sum(element.position is not None for element in self.elements)

    @property
    def kinks(self) -> int:
        """How many of them have no derivative, such as relu at 0; they are not judged."""
        return sum(element.verdict == KINK for element in self.elements)

    @property
    def _judged(self) -> list[Element]:
        return [element for element in self.elements if element.position is not None and element.verdict != KINK]

    @property
    def worst(self) -> Element | None:
        """The element with the largest error; None where nothing could be judged."""
        judged = [element for element in self.elements if element.verdict != KINK]
        return max(judged, key=lambda e: (_FROM_BEST_TO_WORST.index(e.verdict), e.error), default=None)

    @property
    def error(self) -> float:
        """The largest relative error, 0 where nothing could be judged."""
        return self.worst.error if self.worst else 0.0

    @property
    def analytic(self) -> float:
        """The norm of the derived gradient."""
        return _norm(element.analytic for element in self._judged)

    @property
    def numeric(self) -> float:
        """The norm of the gradient by differences."""
        return _norm(element.numeric for element in self._judged)

    @property
    def verdict(self) -> str:
        """`agrees`, `wrong`, `undecided` (the differences are too rough to tell), `not finite`, `kink`, `no gradient`."""
        if self.reason:
            return NO_GRADIENT
        return self.worst.verdict if self.worst else KINK

    def __str__(self) -> str:
        if self.reason:
            return self.reason
        if self.worst is None:
            return f"{self.name} has no derivative at any of the elements checked"
        where = "in a random direction" if self.worst.position is None else f"at {_position(self.worst.position)}"
        return (
            f"{self.name} {where}: derived {self.worst.analytic:.9g}, by differences {self.worst.numeric:.9g}, "
            f"relative error {self.worst.error:.2g}: {self.worst.verdict}"
        )


@dataclass(frozen=True, slots=True)
class GradientCheck:
    """All gradients of one scalar against differences; true where none is wrong. Shows itself as a table."""

    of: Node
    rows: tuple[Row, ...]
    samples: int | None
    rtol: float
    atol: float

    @property
    def ok(self) -> bool:
        """Whether every gradient that could be judged agrees."""
        return all(row.verdict in (AGREES, KINK, NO_GRADIENT) for row in self.rows)

    @property
    def worst(self) -> Row | None:
        """The row that is furthest from agreement; None for a graph without any."""
        return max(self.rows, key=lambda row: (_FROM_BEST_TO_WORST.index(row.verdict), row.error), default=None)

    def __bool__(self) -> bool:
        return self.ok

    def __getitem__(self, node: str | Node) -> Row:
        """The row of a node, by any of its names."""
        wanted = self.of.graph[node]
        for row in self.rows:
            if row.node is wanted:
                return row
        raise GradientError(no_path(self.of, wanted))

    @property
    def title(self) -> str:
        """What was compared, in a line."""
        shown = self.of.name.text if self.of.name else self.of.text()
        if self.of.per_sample:
            count = "1 sample" if self.samples == 1 else f"{self.samples} samples"
            shown = f"Σₙ {shown} over {count}"
        return f"Gradients of {shown} against central differences (rtol {self.rtol:g}, atol {self.atol:g})"

    @property
    def conclusion(self) -> str:
        """What came out, in a line."""
        count = {verdict: sum(row.verdict == verdict for row in self.rows) for verdict in _FROM_BEST_TO_WORST}
        kinks = sum(row.kinks for row in self.rows)
        parts = [
            f"{count[WRONG]} of {len(self.rows)} gradients wrong" if count[WRONG] else "",
            f"{count[NOT_FINITE]} not finite" if count[NOT_FINITE] else "",
            f"{count[UNDECIDED]} undecided, for the values are too rough for differences" if count[UNDECIDED] else "",
            f"{kinks} element{'s' * (kinks > 1)} at a kink, where there is no derivative" if kinks else "",
        ]
        said = "; ".join(part for part in (f"all {len(self.rows)} gradients agree" if self.ok else "", *parts) if part)
        return f"{said[:1].upper()}{said[1:]}.{'' if self.ok else f' The worst is {self.worst}.'}"

    @property
    def table(self) -> list[tuple[str, ...]]:
        """A row for each gradient, after the titles of the columns."""
        head = ("node", "shape", "checked", "largest relative error", "‖derived‖", "‖by differences‖", "verdict")
        return [head, *map(_cells, self.rows)]

    def __str__(self) -> str:
        table = self.table
        widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
        lines = [
            "  ".join(
                cell.rjust(width) if 3 <= column <= 5 else cell.ljust(width)
                for column, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in table
        ]
        return "\n".join([self.title, lines[0], "-" * max(map(len, lines)), *lines[1:], self.conclusion])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        head, *body = self.table
        cells = "".join(f"<th>{html.escape(cell)}</th>" for cell in head)
        rows = "".join(f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>" for row in body)
        return (
            f"<p>{html.escape(self.title)}</p><table><thead><tr>{cells}</tr></thead><tbody>{rows}</tbody></table>"
            f"<p>{html.escape(self.conclusion)}</p>"
        )


def check_gradients(
    graph: Graph,
    arrays: Mapping[str, object],
    of: str | Node | None = None,
    *,
    rtol: float = 1e-6,
    atol: float = 1e-8,
    most: int = 24,
    seed: int = 0,
) -> GradientCheck:
    """Compare each gradient ∂of/∂node with central differences, for every input, parameter and step before `of`.

    `of` is a scalar node; left out, it is the one scalar output of the graph. Of a scalar per sample, the sum over the
    samples is checked. Of a node with more than `most` elements, so many are drawn at random (by `seed`), and one
    random direction through all of them is checked besides. An element agrees where the error is at most `rtol` times
    the gradient, or within the rounding error of the differences, for which never more than `atol` is allowed.

    Raises DataError for arrays that do not fit and where `of` is not finite with them, GradientError where `of` has no
    gradients. Source: Ridders, Accurate computation of F'(x) and F'(x)F''(x), 1982.
    """
    target = _objective(graph, of)
    gradients = sweep(target)
    before = set(ancestors(target))
    nodes = [node for node in graph.nodes if node in before and node is not target and node.kind != "constant"]
    leaves = [node for node in nodes if not node.inputs]
    given, samples, _ = bind(leaves, arrays, np.float64)
    check(expected(before), given)
    probe = _Probe(target, evaluate([target, *nodes], given, samples), samples)
    slack = _Tolerance(rtol, atol)
    derived = evaluate([gradients[node] for node in nodes if node in gradients], probe.base, samples)
    rows = []
    for node in nodes:
        if node not in gradients:
            rows.append(Row(node, node.shape, (), node.type.size, no_path(target, node)))
            continue
        value = probe.base[node]
        gradient = _of_sum(derived[gradients[node]], gradients[node], node, target, samples)
        elements = tuple(_elements(probe, slack, node, gradient, most, np.random.default_rng(seed)))
        rows.append(Row(node, node.shape, elements, value.size))
    return GradientCheck(target, tuple(rows), samples, rtol, atol)


def _objective(graph: Graph, of: str | Node | None) -> Node:
    if of is not None:
        return graph[of]
    scalars = [node for node in graph.outputs if not node.shape]
    if len(scalars) == 1:
        return scalars[0]
    named = [node.name.ident for node in scalars if node.name]
    which = f"{len(scalars)} scalar outputs, {', '.join(named)}" if named else "no scalar output"
    raise GradientError(
        f"{graph.title or 'the graph'} has {which}: say whose gradients are to be checked, "
        f"as in check_gradients(of={(named or ['l'])[0]!r}, ...)"
    )


class _Probe:
    """The values of the graph at the data, and how the objective moves when one node is moved."""

    def __init__(self, of: Node, base: dict[Node, Array], samples: int | None) -> None:
        self.of = of
        self.base = base
        self.samples = samples
        self.order = ancestors(of, operands=computed_from)
        if not np.isfinite(base[of]).all():
            raise DataError(
                f"{of.name.tex if of.name else of.text()} is not finite with these arrays, so its gradients cannot be "
                f"checked by differences"
            )

    def around(self, node: Node) -> Callable[[Array, float], float]:
        """The rise of the objective (summed over the samples) when the node moves by `step * direction`."""
        moved = {node}
        for later in self.order:
            if any(operand in moved for operand in computed_from(later)):
                moved.add(later)
        fixed = {other: self.base[other] for other in self.order if other not in moved}

        def rise(direction: Array, step: float) -> float:
            values = evaluate([self.of], fixed | {node: self.base[node] + step * direction}, self.samples)
            return float(np.sum(values[self.of] - self.base[self.of]))

        return rise

    @property
    def noise(self) -> float:
        """The rounding error of a rise."""
        return _EPSILON * float(np.sum(np.abs(self.base[self.of])))


@dataclass(frozen=True, slots=True)
class _Tolerance:
    rtol: float
    atol: float

    def judged(self, position: tuple[int, ...] | None, analytic: float, slope: _Slope) -> Element:
        """The comparison of one derivative with the slope that differences give."""
        if slope.kink:
            return Element(position, analytic, slope.value, 0.0, KINK)
        if not (np.isfinite(analytic) and np.isfinite(slope.value)):
            return Element(position, analytic, slope.value, np.inf, NOT_FINITE)
        apart = abs(analytic - slope.value)
        allowed = min(self.atol, 10 * slope.error) / self.rtol
        error = apart / (max(abs(analytic), abs(slope.value)) + allowed) if apart else 0.0
        if error <= self.rtol:
            return Element(position, analytic, slope.value, error, AGREES)
        return Element(position, analytic, slope.value, error, UNDECIDED if apart <= 10 * slope.error else WRONG)


def _elements(
    probe: _Probe, tolerance: _Tolerance, node: Node, gradient: Array, most: int, random: np.random.Generator
) -> Iterator[Element]:
    """The comparisons for one node: its elements, or some of them and a random direction."""
    value, rise = probe.base[node], probe.around(node)
    typical = float(np.sqrt(np.mean(np.square(value)))) or 1.0

    def compared(position: tuple[int, ...] | None, direction: Array, own: float) -> Element:
        analytic = float(gradient[position]) if position is not None else float(np.sum(gradient * direction))
        slope = _slope(partial(rise, direction), _steps(own, typical), probe.noise, analytic)
        return tolerance.judged(position, analytic, slope)

    sampled = value.size > most
    for flat in np.sort(random.choice(value.size, most, replace=False)) if sampled else range(value.size):
        position = tuple(map(int, np.unravel_index(flat, value.shape)))
        direction = np.zeros_like(value)
        direction[position] = 1.0
        yield compared(position, direction, abs(float(value[position])))
    if sampled:
        relative = np.where(value == 0, 1.0, np.abs(value) / typical)
        yield compared(None, random.standard_normal(value.shape) * relative, typical)


def _steps(own: float, typical: float) -> list[float]:
    """Steps to try, largest first: for a node of this typical size, then for the element's own size."""
    steps = {max(own, typical) * 10.0**-k for k in range(2, 7)}
    if own:
        steps |= {own * 10.0**-k for k in range(2, 6)}
    return sorted(steps, reverse=True)


@dataclass(frozen=True, slots=True)
class _Slope:
    """A derivative by differences, the error it may have, and the step it was taken at; `kink` where there is none."""

    value: float = np.nan
    error: float = np.inf
    step: float = 0.0
    bent: bool = False
    kink: bool = False


Rise = Callable[[float], float]


def _slope(rise: Rise, steps: list[float], noise: float, expected: float) -> _Slope:
    """The derivative at 0; where it is not the expected one, the noise of the values is measured and kinks looked for."""
    slope = _differences(rise, steps, noise)
    if not slope.bent and abs(slope.value - expected) <= 1e-7 * abs(expected):
        return slope
    reach = 20 * slope.step if slope.value else np.inf  # a slope of 0 may be steps that are lost in rounding
    near = [step for step in steps if slope.step <= step <= reach] or steps[-1:]
    noise = max(noise, *(_roughness(rise, step / 10) for step in near))
    if _kinked(rise, steps[0], noise):
        return replace(slope, kink=True)
    return _differences(rise, steps, noise)


def _differences(rise: Rise, steps: list[float], noise: float) -> _Slope:
    """Central differences at three steps, extrapolated; of the steps, those with the least error, larger ones first."""
    best = _Slope()
    bent = False
    for step in steps:
        sizes = np.array([step, step / 2, step / 4])
        up, down = (np.array([rise(sign * size) for size in sizes]) for sign in (1.0, -1.0))
        central = (up - down) / (2 * sizes)
        once = (4 * central[1:] - central[:-1]) / 3
        value = float((16 * once[1] - once[0]) / 15)
        rounding = 4 * noise / step
        if not np.isfinite(value):
            bent = True
            continue
        gap = np.abs(up + down) / sizes  # between the slopes of the two sides; it shrinks with the step without a kink
        bent = bent or bool(gap[2] > 0.6 * gap[0] and gap[2] > 4 * rounding)
        error = max(abs(value - float(once[1])), rounding)
        if error < best.error:
            best = _Slope(value, error, step)
        if error <= max(rounding, 1e-9 * abs(value)):
            break
    return replace(best, bent=bent)


def _roughness(rise: Rise, spacing: float) -> float:
    """The noise of the values, from sixth differences on the smoother side (Moré and Wild, 2011)."""
    sides = [np.diff([rise(sign * spacing * k) for k in range(1, 10)], 6) for sign in (1.0, -1.0)]
    factor = math.factorial(6) ** 2 / math.factorial(12)
    return min((math.sqrt(factor * np.mean(side**2)) for side in sides if np.isfinite(side).all()), default=0.0)


def _kinked(rise: Rise, largest: float, noise: float) -> bool:
    """Whether the slopes of the two sides differ however small the step, or one side is outside of the domain."""
    sizes = largest * np.array([1e-2, 1e-3, 1e-4])
    up, down = (np.array([rise(sign * size) for size in sizes]) for sign in (1.0, -1.0))
    if np.isnan(up[2]) != np.isnan(down[2]):
        return True
    gap = np.abs(up + down) / sizes
    return bool(gap[2] > 0.5 * gap[0] and gap[2] > 100 * noise / sizes[2])


def _of_sum(gradient: Array, made: Node, wrt: Node, of: Node, samples: int | None) -> Array:
    """The gradient of the sum over the samples, of the shape of the array of `wrt`."""
    if of.per_sample and not wrt.per_sample:
        return gradient.sum(axis=0) if made.per_sample else gradient * (samples or 1)
    if wrt.per_sample and not made.per_sample:
        return np.broadcast_to(gradient, (samples or 1, *gradient.shape))
    return gradient


def _cells(row: Row) -> tuple[str, ...]:
    shape = str(row.node.type) + (" per sample" if row.node.per_sample else "")
    if row.reason:
        return (row.name, shape, "", "", "", "", NO_GRADIENT)
    checked = f"{row.checked:,}" if row.checked == row.size else f"{row.checked:,} of {row.size:,}, a direction"
    verdict = row.verdict + (f", {row.kinks} at a kink" if row.kinks and row.verdict != KINK else "")
    error = f"{row.error:.1e}" if row.worst else "·"
    return (row.name, shape, checked, error, f"{row.analytic:.6g}", f"{row.numeric:.6g}", verdict)


def _position(position: tuple[int, ...]) -> str:
    return str(position[0] if len(position) == 1 else position) if position else "its value"


def _norm(values: Iterable[float]) -> float:
    return float(np.sqrt(sum(value * value for value in values)))
