"""The compiled function of a graph: called with arrays by name, it gives every named value and the gradients."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any

import numpy as np

from graphgrad.calculus.gradient import per_sample_gradient
from graphgrad.compiler import cache
from graphgrad.compiler.products import on_lanes
from graphgrad.compiler.program import Instruction, Program, program
from graphgrad.compiler.propagation import shown_in
from graphgrad.compiler.rewrites import PHASES, rewrite
from graphgrad.compiler.summed import with_sums
from graphgrad.compiler.winners import with_winners
from graphgrad.graph import DataError, Graph, GraphError, Leaf, Node, ancestors
from graphgrad.graph.data import Array, bind
from graphgrad.graph.domain import check, expected
from graphgrad.ops.batch import BatchSize
from graphgrad.ops.reference import compute
from graphgrad.runtime.memory import Reused, kept_together, memory_for
from graphgrad.runtime.result import Result
from graphgrad.runtime.team import team

TARGETS = ("numpy", "cpu", "cuda")
DTYPES = ("float32", "float64")
_MOST = np.maximum.reduce
MANY = 2**16
"""From how many samples on it takes its time to look through them."""
Asked = str | Node | Iterable[str | Node]


def compile(
    graph: Graph,
    outputs: Asked,
    wrt: Asked = (),
    *,
    target: str = "cpu",
    dtype: str = "float64",
    rewrites: tuple[str, ...] = PHASES,
    keep: bool = True,
) -> Function:
    """The function that computes the outputs and the gradients of the first output.

    `outputs` and `wrt` are nodes, by name or as they are; `wrt` may hold any node of the graph. Every named value on
    the way to the outputs can be read from the result. One compile serves every number of samples.

    target   "cpu": one step of Numba code, compiled once and kept in the kernel cache;
             "cuda": one kernel of Numba code for an NVIDIA GPU, compiled when it is first called;
             "numpy": the reference, one operation after the other.
    dtype    "float64" or "float32".
    rewrites the phases of rewriting; () computes every formula as it is written.
    keep     whether the values on the way are kept for the result; without them, large batches take less memory.

    Raises GraphError for a name, a target or a dtype that does not exist, GradientError for a gradient that does not.

    >>> import graphgrad as gg
    >>> with gg.Graph() as g:
    ...     x, w = gg.input("x", 2), gg.param("w", 2)
    ...     g.y = gg.sigmoid(w @ x)
    >>> f = gg.compile(g, "y", wrt="w", target="numpy")
    >>> r = f(x=[0.0, 1.0], w=[1.0, 0.0])
    >>> float(r["y"]), r.grad["w"].tolist()
    (0.5, [0.0, 0.25])
    """
    if target not in TARGETS:
        raise GraphError(f"{target!r} is no target: there are {', '.join(TARGETS)}")
    if np.dtype(dtype).name not in DTYPES:
        raise GraphError(f"{dtype!r} is no dtype to compile for: there are {', '.join(DTYPES)}")
    asked, wanted = _nodes(graph, outputs), _nodes(graph, wrt)
    if not asked:
        raise GraphError(f"compile: name at least one output of {graph.title or 'the graph'!r}")
    gradients = {node: per_sample_gradient(asked[0], node) for node in wanted}
    made = Function
    if target == "cuda":
        from graphgrad.runtime.function_on_gpu import FunctionOnGPU as made
    return made(graph, asked, gradients, target, np.dtype(dtype).name, tuple(rewrites), keep)


def _nodes(graph: Graph, asked: Asked) -> tuple[Node, ...]:
    each = (asked,) if isinstance(asked, str | Node) else tuple(asked)
    return tuple(dict.fromkeys(graph[one] for one in each))


class Function:
    """A compiled graph. `f(x=..., W0=...)` takes arrays by identifier and returns a `Result`.

    >>> import graphgrad as gg
    >>> with gg.Graph() as g:
    ...     x, w = gg.input("x", 2), gg.param("w", 2)
    ...     g.y = w @ x
    >>> gg.compile(g, "y", target="numpy")(x=[[1.0, 0.0], [2.0, 1.0]], w=[3.0, 4.0])["y"].tolist()
    [3.0, 10.0]

    An input takes an array (N, *shape) for N samples, or (*shape) for one, and then no result has a batch axis.
    """

    def __init__(
        self,
        graph: Graph,
        outputs: tuple[Node, ...],
        gradients: Mapping[Node, Node],
        target: str,
        dtype: str,
        rewrites: tuple[str, ...],
        keep: bool = True,
    ) -> None:
        self.graph, self.outputs, self.gradients = graph, outputs, dict(gradients)
        self.target, self.dtype, self.rewrites = target, np.dtype(dtype), rewrites
        needed = ancestors(*outputs, *gradients.values())
        on_the_way = set(needed)
        named = [node for node in graph.nodes if keep and node in on_the_way and node.name is not None]
        self.leaves = tuple(node for node in graph.nodes if node in on_the_way and node.kind in ("input", "parameter"))
        self._asked = (*outputs, *gradients.values(), *named)
        self._program: Program | None = None
        self._one_by_one = threading.Lock()
        self._idents = [leaf.op.name for leaf in self.leaves]
        self._expected = expected(needed)
        unit = {leaf for leaf, asked in self._expected.items() if all(domain.unit for _, domain in asked)}
        self._beyond_unit = {leaf: asked for leaf, asked in self._expected.items() if leaf not in unit}
        self._slots = [
            (leaf.op.name, leaf.shape, len(leaf.shape), leaf.per_sample, leaf in unit) for leaf in self.leaves
        ]
        self._bits, self._one = _bits_of_one(self.dtype)
        self._reused, self.keep = Reused(), keep

    @property
    def program(self) -> Program:
        """What is computed, rewritten: once, when it is first asked for. A function that is only bound does without."""
        with self._one_by_one:
            if self._program is None:
                self._program = self._specialised(rewrite(program(self._asked), self.rewrites))
            return self._program

    def _specialised(self, found: Program) -> Program:
        """The program as its target computes it."""
        return found if self.target == "numpy" else with_winners(with_sums(found))

    @property
    def inputs(self) -> tuple[Node, ...]:
        """The inputs and parameters that a call takes."""
        return self.leaves

    def __call__(self, **arrays: object) -> Result:
        """Run on these arrays; DataError says in a sentence what does not fit."""
        bound = self._as_given(arrays)
        if bound is None:
            by_node, samples, single = bind(self.leaves, arrays, self.dtype)
            check(self._expected, by_node)
            arrays_of = (by_node[leaf] for leaf in self.leaves)
            return self._run([a if a.flags.carray else a.copy() for a in arrays_of], samples or 1, single)
        if self._beyond_unit:
            check(self._beyond_unit, dict(zip(self.leaves, bound[0], strict=True)))
        result = self._run(*bound)
        if bound[1] >= MANY and self._showing:
            numbers = map(result._array, self._numbers_asked)
            if any(number != number for number in numbers):
                bind(self.leaves, arrays, self.dtype)  # warns of inputs that are none
        return result

    @cached_property
    def _showing(self) -> frozenset[str]:
        """The inputs that need not be looked through for what is no number: it shows in a number that is computed."""
        if self.target != "cpu":
            return frozenset()
        found = shown_in(self.program, self._numbers_asked)
        return frozenset(one.leaf.op.name for one in found if one.leaf is not None)

    @cached_property
    def _numbers_asked(self) -> list[Instruction]:
        values = self.program.values
        asked = dict.fromkeys(values[node] for node in (*self.outputs, *self.gradients.values()))
        return [one for one in asked if one.inputs and not one.type.shape and not one.type.per_sample]

    def _run(self, values: list[Array], samples: int, single: bool) -> Result:
        """Run on arrays as the target takes them."""
        if self.target == "numpy":
            found = interpret(self.program, dict(zip(self.leaves, values, strict=True)), samples, self.dtype)
            return Result(self, values, samples, single, found, None)
        if samples == 1:
            module, size = self._alone
            memory = np.empty(size, self.dtype)
            module.step(*values, memory)
        else:
            module = self._lanes_module[0] if self._on_lanes else self._team_module[0]
            memory, threads = self._memory(module, samples)
            given = values
            if self._on_lanes:
                data = [value for leaf, value in zip(self.leaves, values, strict=True) if leaf.per_sample]
                given = [*data, *self._together(values)]
            team.run(module.step, (*given, memory), threads or 1)
        return Result(self, values, samples, single, None, memory, module)

    @cached_property
    def _alone(self) -> tuple[Any, int]:
        """The compiled step that goes sample by sample, and how many numbers it needs for one."""
        module = self._module[0]
        size = len(self._memory(module, 1)[0])
        return module, size

    def _memory(self, module: Any, samples: int) -> tuple[Array, int | None]:
        return memory_for(module, samples, self.dtype, self._too_large, self._reused)

    def _together(self, values: list[Array]) -> list[Array]:
        """The parameters in one array, for a step on lanes; nothing where there are none."""
        shared = [(leaf, value) for leaf, value in zip(self.leaves, values, strict=True) if not leaf.per_sample]
        if not shared:
            return []
        flat, views = kept_together([leaf.shape for leaf, _ in shared], self.dtype)
        for view, (_, value) in zip(views, shared, strict=True):
            view[...] = value
        return [flat]

    @np.errstate(
        over="ignore", under="ignore"
    )  # a square too large or too small is no NaN, which is what it is taken for
    def _as_given(self, arrays: Mapping[str, object]) -> tuple[list[Array], int, bool] | None:
        """The arrays where they already are what the step takes; None where they must be looked at one by one."""
        if len(arrays) != len(self._slots):
            return None
        values = []
        samples, single = 0, False
        for ident, shape, rank, per_sample, unit in self._slots:
            array = arrays.get(ident)
            if type(array) is not np.ndarray or array.dtype is not self.dtype or not array.flags.carray:
                return None
            if per_sample:
                one = array.ndim == rank
                if one:
                    array = array[None]
                if array.shape[1:] != shape or (samples and (samples != len(array) or single is not one)):
                    return None
                samples, single = len(array), one
                if samples >= MANY and not unit and ident in self._showing:
                    values.append(array)
                    continue
            elif array.shape != shape:
                return None
            flat = array.ravel()
            if unit:
                if _MOST(flat.view(self._bits)) > self._one:
                    return None
            else:
                square = flat.dot(flat)
                if square != square:
                    return None
            values.append(array)
        return (values, samples or 1, single) if samples or not any(s[3] for s in self._slots) else None

    def _too_large(self, samples: int, size: int) -> DataError:
        return DataError(
            f"{samples:,} samples need {size / 2**30:,.1f} GiB for the values of {len(self.program.values)} nodes, "
            "which is more than there is; give fewer samples at a time"
        )

    # -- compiled ------------------------------------------------------------------------------------------------

    @cached_property
    def _module(self) -> tuple[Any, str]:
        return cache.load(self._key("alone"), self._generate)

    @cached_property
    def _lanes_module(self) -> tuple[Any, str]:
        return cache.load(self._key("lanes"), lambda: self._generate(lanes=True, team=True))

    @cached_property
    def _team_module(self) -> tuple[Any, str]:
        return cache.load(self._key("team"), lambda: self._generate(team=True))

    def _key(self, kind: str) -> str:
        return f"{self.dtype.name} {kind} {self.graph.title}\n{self.program.key(self.leaves, self._results)}"

    @property
    def _results(self) -> tuple[Instruction, ...]:
        return tuple(self.program.values[node] for node in (*self.outputs, *self.gradients.values()))

    @cached_property
    def _on_lanes(self) -> bool:
        return on_lanes(self.program)

    def _generate(self, lanes: bool = False, team: bool = False) -> str:
        from graphgrad.compiler.cpu import print_step  # a step that is in the cache does without
        from graphgrad.compiler.lower import lower

        step = lower(
            self.program,
            self.leaves,
            self.graph.title,
            self.dtype.name,
            self._results,
            lanes=lanes,
            team=team,
            resident=lanes,
        )
        return print_step(step)

    @cached_property
    def _numbers(self) -> dict[Instruction, int]:
        return {instruction: number for number, instruction in enumerate(self.program.order)}

    @property
    def source(self) -> str:
        """The generated source: readable, one comment for each node, and what really runs on the target.

        For the CPU it is that of one sample after the other; `source_on_lanes` is that of several at once. Where products of
        large matrices are most of the work, threads share these lines. For a GPU there is one source, which needs none to
        be read.
        """
        return self._module[1]

    @property
    def source_on_lanes(self) -> str:
        """The generated source for several samples: the same lines, where each value is that of a block of samples."""
        return self._lanes_module[1]

    @property
    def njit(self) -> Any:
        """The function for the caller's own `@njit` code: arrays by position in the order of `inputs`, with the batch
        axis; returns the outputs, then the gradients, as a tuple. Raises GraphError for the target cuda."""
        return self._module[0].call

    def explain(self) -> str:
        """What was rewritten and why, and how much memory a step takes."""
        from graphgrad.compiler.starts import with_starts

        program, _ = with_starts(self.program, lanes=False)
        return explained(self.graph.title, program, self._module[0].MEMORY, self.dtype)

    def bind(self, optimizer: Any = None, **parameters: object) -> Any:
        """The training step with parameters, optimiser state and memory inside: `step(X, T)` returns the loss.

        `parameters` are the initial arrays of all parameters; those that the function was compiled for (`wrt`) are
        trained, the others stay. A loss per sample is summed over the samples, as in the lecture's objective.
        """
        from graphgrad.runtime.bound import BoundStep

        return BoundStep(self, optimizer, parameters)

    def export(self, path: str | os.PathLike[str], **parameters: object) -> None:
        """Write the function as one Python file that needs NumPy and Numba only, for the CPU whatever the target is.

        It holds the generated step, the kernels that the step calls, and `evaluate(x=..., W0=...)`, which takes arrays
        by name and gives the outputs and the gradients (`grad_W0`) by name. The parameters, if they are given here, are
        written beside it: those of `net.py` into `net.npz`, from which `evaluate` then takes them.

        Raises GraphError where the file cannot be written or its name is none of a module, DataError for parameters that
        do not fit.

        >>> import graphgrad as gg, tempfile
        >>> with gg.Graph() as g:
        ...     x, w = gg.input("x", 2), gg.param("w", 2)
        ...     g.y = gg.sigmoid(w @ x)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     gg.compile(g, "y", wrt="w").export(f"{folder}/neuron.py", w=[1.0, 2.0])
        """
        from graphgrad.runtime.export import export

        lean = Function(self.graph, self.outputs, self.gradients, "cpu", self.dtype.name, self.rewrites, keep=False)
        export(lean, path, parameters)

    def __repr__(self) -> str:
        shown = ", ".join(str(node.name) for node in self.outputs)
        return f"<compiled {shown} of {self.graph.title or 'graph'!r} for {self.target}, {self.dtype}>"


def explained(title: str, program: Program, memory: tuple[int, int, int], dtype: np.dtype[Any]) -> str:
    """The rewrites of a program in their order, and the memory of its step."""
    fixed, each, own = memory
    lines = [f"{title or 'graph'}: {len(program.order)} instructions"]
    lines += [f"{f.phase}: {f.rule} at {f.line} ({f.reason})" for f in program.firings]
    of_threads = f" and {own} for each thread" if own else ""
    return "\n".join([*lines, f"memory: {fixed} numbers, {each} for each sample{of_threads}, {dtype}"])


def _bits_of_one(dtype: np.dtype[Any]) -> tuple[Any, int]:
    """An unsigned type as wide as the reals, and 1.0 read as one.

    So read, the reals from 0 to 1 are the numbers up to that one, negative ones and NaN are larger: one maximum tells.
    """
    bits = np.dtype(f"u{dtype.itemsize}")
    return bits, int(dtype.type(1.0).view(bits))


def interpret(program: Program, given: Mapping[Node, Array], samples: int, dtype: Any) -> dict[Instruction, Array]:
    """The value of every instruction by the reference, one after the other."""
    values: dict[Instruction, Array] = {}
    for instruction in program.order:
        if isinstance(instruction.op, BatchSize):
            values[instruction] = np.asarray(samples, dtype)
        elif isinstance(instruction.op, Leaf):
            leaf = instruction.leaf
            values[instruction] = np.asarray(instruction.op.value, dtype) if leaf is None else given[leaf]
        else:
            types = tuple(operand.type for operand in instruction.inputs)
            operands = [values[operand] for operand in instruction.inputs]
            values[instruction] = compute(instruction.op, types, operands, samples, dtype)
    return values
