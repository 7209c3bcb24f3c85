"""Training: mini-batches in a shuffled order, epoch after epoch, in compiled steps."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from graphgrad.calculus.evaluation import states
from graphgrad.graph import Graph, GraphError, Node, NotFiniteWarning, ancestors
from graphgrad.graph.data import Array, bind
from graphgrad.graph.domain import check, expected
from graphgrad.runtime.bound import BoundStep, Optimizer
from graphgrad.runtime.function import compile
from graphgrad.training.initial import initial
from graphgrad.training.optimizers import SGD


@dataclass
class History:
    """What training did: the mean loss of each epoch, the loss of each step, the parameters at the end.

    >>> import graphgrad as gg
    >>> with gg.Graph() as g:
    ...     w, x = gg.param("w"), gg.input("x")
    ...     g.J = gg.batch_mean(gg.square(w * x - 1))
    >>> history = gg.fit(
    ...     g, "J", {"x": [1.0, 1.0]}, params={"w": 0.0}, optimizer=gg.SGD(0.25), epochs=3, progress=False
    ... )
    >>> history.loss, history.params["w"].tolist()
    ([1.0, 0.25, 0.0625], 0.875)
    """

    objective: str
    loss: list[float] = field(default_factory=list)
    steps: list[float] = field(default_factory=list)
    params: dict[str, Array] = field(default_factory=dict)
    stopped: str = ""

    def __repr__(self) -> str:
        if not self.loss:
            return f"<no epoch of {self.objective}>"
        end = f", {self.stopped}" if self.stopped else ""
        return f"<{len(self.loss)} epochs: {self.objective} from {self.loss[0]:.4g} to {self.loss[-1]:.4g}{end}>"


def fit(
    graph: Graph,
    objective: str | Node,
    data: Mapping[str, object],
    *,
    optimizer: Optimizer | None = None,
    params: Mapping[str, object] | None = None,
    wrt: Any = None,
    epochs: int = 100,
    batch_size: int | None = None,
    shuffle: bool = True,
    seed: int = 0,
    dtype: str = "float64",
    target: str = "cpu",
    patience: int | None = None,
    min_delta: float = 0.0,
    progress: bool = True,
    callback: Callable[[int, float, dict[str, Array]], object] | None = None,
) -> History:
    """Train the parameters of a graph by gradient descent on an objective; a loss per sample is summed over a batch.

    data        the arrays of all inputs by identifier, with the samples as their leading axis.
    optimizer   SGD(0.1) where none is given.
    params      where to begin: arrays, or rules such as gg.He(); by `gg.initial` from the seed where not given. Never
                changed.
    wrt         the parameters to train; where not given all of them, but for states that a step moves by itself (running
                statistics, the step of a dropout).
    epochs      how often all samples are used; batch_size samples at a time, all at once where not given.
    target      "cpu", or "cuda" to train on an NVIDIA GPU, as in gg.compile.
    patience    stop when the loss of an epoch has not fallen by more than min_delta for so many epochs.
    callback    called after each epoch with its number, its loss and the parameters; stops where it returns True.

    Returns a History with the loss of each epoch and the trained parameters. A loss that is no number ends the training
    with a NotFiniteWarning, and the parameters are those before that step.

    Source: the lecture's update W := W - η ∂(Σ l + λR)/∂W, on mini-batches.

    >>> import graphgrad as gg
    >>> with gg.Graph() as g:
    ...     x, t, w = gg.input("x"), gg.input("t"), gg.param("w")
    ...     g.l = gg.squared_error(w * x, t)
    >>> history = gg.fit(g, "l", {"x": [1.0, 2.0], "t": [2.0, 4.0]}, optimizer=gg.SGD(0.1), epochs=20)
    >>> round(float(history.params["w"]), 6)
    2.0
    """
    of = graph[objective]
    needed = set(ancestors(of))
    if epochs < 0 or (batch_size is not None and batch_size < 1):
        raise GraphError(
            f"epochs is {epochs} and batch_size {batch_size}: there are at least 0 epochs, of at least 1 sample"
        )
    parameters = [node for node in graph.parameters if node in needed]
    start = initial(graph, seed, params)
    used = {node.op.name for node in parameters}
    moved = states(ancestors(of))
    trained = [node for node in parameters if node not in moved] if wrt is None else wrt
    step: BoundStep = compile(graph, [of], wrt=trained, dtype=dtype, target=target).bind(
        optimizer=optimizer or SGD(0.1), **{name: array for name, array in start.items() if name in used}
    )
    arrays, samples, _ = bind(step.inputs, {k: v for k, v in data.items() if k in graph}, dtype)
    check(expected(needed), arrays)
    columns = [arrays[node] for node in step.inputs]
    return _Training(step, columns, samples or 1, str(of.name)).run(
        epochs, batch_size or samples or 1, shuffle, seed, patience, min_delta, progress, callback
    )


class _Training:
    def __init__(self, step: BoundStep, columns: list[Array], samples: int, objective: str) -> None:
        self.step, self.columns, self.samples = step, columns, samples
        self.history = History(objective)

    def run(
        self,
        epochs: int,
        batch_size: int,
        shuffle: bool,
        seed: int,
        patience: int | None,
        min_delta: float,
        progress: bool,
        callback: Callable[[int, float, dict[str, Array]], object] | None,
    ) -> History:
        from tqdm.auto import tqdm

        generator = np.random.default_rng(seed)
        steps = -(-self.samples // batch_size)
        best, waited = float("inf"), 0
        bar = tqdm(total=epochs, disable=None if progress else True, unit="epoch", leave=False)
        with bar:
            for epoch in range(epochs):
                order = generator.permutation(self.samples) if shuffle and steps > 1 else None
                data = self.columns if order is None else [column[order] for column in self.columns]
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", NotFiniteWarning)
                    losses = self.step.run(data, steps, batch_size)
                self.history.steps.extend(map(float, losses))
                if len(losses) < steps:
                    self._diverged(epoch, len(losses))
                    break
                self.history.loss.append(float(np.mean(losses)))
                bar.set_postfix(loss=f"{self.history.loss[-1]:.4g}", refresh=False)
                bar.update()
                waited = 0 if self.history.loss[-1] < best - min_delta else waited + 1
                best = min(best, self.history.loss[-1])
                if callback is not None and callback(epoch, self.history.loss[-1], self.step.params) is True:
                    self.history.stopped = "stopped by the callback"
                    break
                if patience is not None and waited >= patience:
                    self.history.stopped = f"no better for {waited} epochs"
                    break
        self.history.params = {name: array.copy() for name, array in self.step.params.items()}
        return self.history

    def _diverged(self, epoch: int, done: int) -> None:
        self.history.stopped = "the loss became NaN"
        warnings.warn(
            NotFiniteWarning(
                f"{self.history.objective} became NaN in epoch {epoch + 1}, step {done + 1}: the parameters are those "
                "before that step; a smaller rate may help"
            ),
            stacklevel=4,
        )
