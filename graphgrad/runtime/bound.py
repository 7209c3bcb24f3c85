"""The bound step: parameters, optimiser state and memory inside one compiled training step, data in, loss out."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from graphgrad.calculus.evaluation import states
from graphgrad.calculus.gradient import sweep
from graphgrad.compiler import cache
from graphgrad.compiler.descent import with_descents
from graphgrad.compiler.products import on_lanes
from graphgrad.compiler.program import Program, program
from graphgrad.compiler.rewrites import rewrite
from graphgrad.compiler.summed import with_sums
from graphgrad.compiler.winners import with_winners
from graphgrad.graph import (
    AdviceWarning,
    DataError,
    Graph,
    GraphError,
    Leaf,
    Name,
    Node,
    NotFiniteWarning,
    Type,
    ancestors,
    number,
)
from graphgrad.graph.data import Array, bind, depth_of_user
from graphgrad.graph.domain import check, expected
from graphgrad.ops import batch_sum
from graphgrad.ops.advice import advice
from graphgrad.runtime.function import Function, explained
from graphgrad.runtime.memory import kept_together, memory_for
from graphgrad.runtime.team import team


class State:
    """What an optimiser keeps between steps: arrays beside the parameters, and numbers."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.initial: dict[Node, float] = {}
        self._made: dict[str, Node] = {}

    def array(self, name: str, like: Node, fill: float = 0.0) -> Node:
        """An array of the shape of a parameter, filled with a number at the start."""
        of = like.name
        assert of is not None
        text = Name(rf"{name}\left({of.tex}\right)", f"{name}({of.text})", f"{of.ident}_{name}")
        return self._leaf(text, like.shape, fill)

    def number(self, name: str, value: float) -> Node:
        """A number, the same for all parameters; it can be turned between steps."""
        return self._leaf(Name(rf"\mathrm{{{name}}}", name, name), (), value)

    def _leaf(self, name: Name, shape: tuple[int, ...], fill: float) -> Node:
        if name.ident not in self._made:
            type = Type(shape)
            made = self._made[name.ident] = self.graph.add(Leaf(name.ident, "parameter", type), (), type, None)
            self.graph.name_derived(made, name)
            self.initial[made] = fill
        return self._made[name.ident]


class Optimizer(Protocol):
    """A rule of descent, written with nodes: the new value of a parameter and of the state."""

    def update(self, parameter: Node, gradient: Node, state: State) -> dict[Node, Node]:
        """Each node that changes in a step, with its new value."""
        ...


class BoundStep:
    """`step(X, T)` makes one training step and returns the loss; arrays go by position, in the order of the inputs.

    `step.params` are the parameters as they are now, `step.state` what the optimiser keeps (its rate, for one); both
    can be changed in place between steps. A step whose loss is no number changes nothing.
    """

    def __init__(self, function: Function, optimizer: Optimizer | None, parameters: Mapping[str, object]) -> None:
        graph, self.dtype = function.graph, function.dtype
        trained = [node for node in function.gradients if node.kind == "parameter"]
        if optimizer is None or not trained:
            what = (
                "an optimizer: bind(optimizer=gg.SGD(0.1), ...)"
                if trained
                else "a parameter to train: compile(wrt=...)"
            )
            raise GraphError(f"bind needs {what}")
        self.objective = _objective(function.outputs[0])
        gradients = sweep(self.objective)
        order = ancestors(self.objective)
        needed = set(order)
        self.inputs = tuple(node for node in graph.inputs if node in needed)
        own = tuple(node for node in graph.parameters if node in needed)
        self._expected = expected(order)
        state = State(graph)
        for sentence in advice(order):
            warnings.warn(AdviceWarning(sentence), stacklevel=depth_of_user())
        updates = states(order)
        for parameter in trained:
            if parameter in updates:
                raise GraphError(
                    f"{parameter.name} is a state that each step moves by its own rule: it cannot be trained as well, "
                    "leave it out of wrt"
                )
        with graph.derivation():
            for parameter in trained:
                updates.update(_moved(optimizer, parameter, gradients[parameter], state))
        self._written, self._rewrites = program([self.objective], updates), function.rewrites
        self._leaves = (*self.inputs, *own, *state.initial)
        self._title = graph.title
        self._modules: dict[bool, tuple[Any, str]] = {}
        values, _, _ = bind(own, parameters, self.dtype)
        start = {**values, **state.initial}
        flat, views = self._kept_together([leaf.shape for leaf in start])
        for view, value in zip(views, start.values(), strict=True):
            view[...] = value
        kept = dict(zip(start, views, strict=True))
        self.params: dict[str, Array] = {node.op.name: kept[node] for node in own}
        self.state = {node.op.name: kept[node] for node in state.initial}
        self._parameters = flat
        self._step: Any = None
        self._shapes: list[tuple[int, ...]] = []
        self._rest: tuple[Any, ...] = ()

    def __call__(self, *data: Any) -> float:
        """One step on a batch (or on one sample); the loss before the step."""
        try:
            if [array.shape for array in data] != self._shapes:
                data = self._ready_for(data)
            loss: float = self._step(*data, *self._rest)
        except (TypeError, AttributeError):  # not arrays that the compiled step takes as they are
            data = self._ready_for(data)
            loss = self._step(*data, *self._rest)
        if loss != loss:
            self._say_why(data)
        return loss

    def run(self, data: Mapping[str, object] | Sequence[object], steps: int, batch_size: int | None = None) -> Array:
        """Many steps in compiled code, over consecutive batches of the data, again and again; the loss of each step.

        Stops at a loss that is no number; the result is then as long as the steps that were made.
        """
        arrays, samples = self._prepared(tuple(data.values()) if isinstance(data, Mapping) else tuple(data), data)
        batch = samples if batch_size is None else max(1, min(int(batch_size), samples))
        losses = self._losses(arrays, batch, int(steps))
        self._shapes = []
        if len(losses) < int(steps):
            self._say_why(arrays)
        return losses

    @property
    def source(self) -> str:
        """The generated source of a step on several samples."""
        return self._module(2)[1]

    @cached_property
    def _program(self) -> Program:
        """What is computed, rewritten; a step that is in the cache does without, since it is found as it was written."""
        return with_winners(with_sums(rewrite(self._written, self._rewrites)))

    def explain(self) -> str:
        """What was rewritten and why, and how much memory a step on several samples takes."""
        from graphgrad.compiler.starts import with_starts

        module, _ = self._module(2)
        lanes = module.LANES > 1
        program, _ = with_starts(self._program if lanes else with_descents(self._program), lanes)
        return explained(self._title, program, module.MEMORY, self.dtype)

    def _kept_together(self, shapes: Sequence[tuple[int, ...]]) -> tuple[Any, list[Array]]:
        """One array for parameters and state, and a view of each."""
        return kept_together(shapes, self.dtype)

    def _losses(self, arrays: tuple[Array, ...], batch: int, steps: int) -> Array:
        """Make the steps; their losses, up to one that is no number."""
        losses = np.empty(steps, self.dtype)
        module, _ = self._module(batch)
        memory, threads = self._memory(module, batch)
        own = (self._parameters, memory) if self._parameters.size else (memory,)
        if hasattr(module, "WORK"):
            done = team.run(module.run, (*arrays, batch, losses, *own), threads)
        else:
            done = module.run(*arrays, batch, losses, *own)
        return losses[:done]

    def _module(self, samples: int) -> tuple[Any, str]:
        """The compiled step for so many samples, and its source: one sample is computed alone, several by a team."""
        several = samples > 1
        if several not in self._modules:
            key = self._written.key(self._leaves, [self._written.values[self.objective]])
            self._modules[several] = cache.load(
                f"{self.dtype.name} bound {several} {self._rewrites} {self._title}\n{key}",
                lambda: self._generate(several),
            )
        return self._modules[several]

    def _generate(self, several: bool) -> str:
        from graphgrad.compiler.cpu import print_step  # a step that is in the cache does without
        from graphgrad.compiler.lower import lower

        found = self._program
        lanes = several and on_lanes(found)
        step = lower(
            found if lanes else with_descents(found),
            self._leaves,
            self._title,
            self.dtype.name,
            returns=found.values[self.objective],
            lanes=lanes,
            team=several,
            resident=True,
        )
        return print_step(step)

    def _prepared(self, data: tuple[object, ...], named: object = None) -> tuple[tuple[Array, ...], int]:
        """The data as the compiled step takes it, and how many samples it is."""
        if isinstance(named, Mapping):
            given = dict(named)
        elif len(data) != len(self.inputs):
            names = ", ".join(node.op.name for node in self.inputs)
            raise DataError(f"step({names}) takes {len(self.inputs)} arrays by position, not {len(data)}")
        else:
            given = {node.op.name: array for node, array in zip(self.inputs, data, strict=True)}
        values, samples, _ = bind(self.inputs, given, self.dtype)
        check(self._expected, values)
        return tuple(a if a.flags.carray else a.copy() for a in (values[node] for node in self.inputs)), samples or 1

    def _ready_for(self, data: tuple[object, ...]) -> tuple[Array, ...]:
        """The data as the compiled step takes it, which is ready for more of this shape."""
        arrays, samples = self._prepared(data)
        self._ready(arrays, samples)
        self._shapes = [array.shape for array in arrays]
        return arrays

    def _ready(self, arrays: tuple[Array, ...], samples: int) -> None:
        """What makes a step on such arrays, and what it takes besides them."""
        module, _ = self._module(samples)
        memory, threads = self._memory(module, samples)
        self._rest = (self._parameters, memory) if self._parameters.size else (memory,)
        self._step = module.step
        if threads > 1:
            self._step = lambda *arguments: team.run(module.step, arguments, threads)
        elif hasattr(module, "WORK"):
            self._rest = (*self._rest, 0, 1)

    def _memory(self, module: Any, samples: int) -> tuple[Array, int]:
        """The memory of a step on so many samples, and by how many threads it is made."""
        memory, threads = memory_for(module, samples, self.dtype, self._too_large)
        return memory, threads or 1

    def _too_large(self, samples: int, size: int) -> DataError:
        return DataError(f"{samples:,} samples need {size / 2**30:,.1f} GiB, which is more than there is: take batches")

    def _say_why(self, data: tuple[object, ...]) -> None:
        """The loss is no number: because of the data, or because the parameters have left the range of numbers."""
        for node, array in zip(self.inputs, data, strict=True):
            if np.isnan(np.asarray(array, self.dtype)).any():
                raise DataError(f"{node.name} holds NaN in this batch: nothing was changed by the step")
        check(self._expected, {node: np.asarray(array) for node, array in zip(self.inputs, data, strict=True)})
        rate = self.state.get("rate")
        hint = f" (the rate is {number(float(rate))})" if rate is not None else ""
        warnings.warn(
            NotFiniteWarning(f"the loss is NaN at this step: nothing was changed by it; a smaller rate may help{hint}"),
            stacklevel=3,
        )


def _moved(optimizer: Optimizer, parameter: Node, gradient: Node, state: State) -> dict[Node, Node]:
    """What a rule of descent makes of a parameter and of its state: nodes of the shapes that these have."""
    who, found = type(optimizer).__name__, optimizer.update(parameter, gradient, state)
    if not isinstance(found, Mapping):
        raise GraphError(f"{who}.update gives {found!r} for {parameter.name}, not a dict of nodes and their new values")
    for node, new in found.items():
        if not isinstance(node, Node) or not isinstance(new, Node):
            raise GraphError(f"{who}.update gives {node!r}: {new!r} for {parameter.name}; both are nodes of its graph")
        if new.type != node.type:
            raise GraphError(
                f"{who}.update gives {node.name} a new value {new.text()} of the shape {new.type}; {node.name} has the "
                f"shape {node.type}"
            )
    return dict(found)


def _objective(output: Node) -> Node:
    """What is descended: the output, summed over the samples where each has its own."""
    if output.shape:
        raise GraphError(f"{output.text()} has the shape {output.type} and cannot be descended: a loss is a scalar")
    if not output.per_sample:
        return output
    graph = output.graph
    known = graph.objectives.get(output)
    if known is None:
        with graph.derivation():
            known = graph.objectives[output] = batch_sum(output)
        of = output.name
        assert of is not None
        graph.name_derived(known, Name(rf"\Sigma {of.tex}", f"Σ{of.text}", f"sum_{of.ident}"))
    return known
