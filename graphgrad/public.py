"""The graph that users hold, with everything one can ask of it, and the declarations that begin one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Self, overload

import numpy as np

from graphgrad.graph import Graph as _Graph
from graphgrad.graph import GraphError, Node, current
from graphgrad.graph.build import network as _network

if TYPE_CHECKING:
    from graphgrad.calculus.check import GradientCheck
    from graphgrad.drawing import Picture
    from graphgrad.drawing.worksheet import Worksheet
    from graphgrad.runtime.result import Result


class Graph(_Graph):
    __doc__ = _Graph.__doc__

    def text(self) -> str:
        """The graph in the text form, of which `parse` makes the same graph.

        Raises GraphError for steps of a gradient that have no name, and for operations that are not registered.

        >>> import graphgrad as gg
        >>> with gg.Graph("one neuron") as g:
        ...     x, w = gg.input("x", 2), gg.param("w", 2)
        ...     g.y = gg.sigmoid(w @ x)
        >>> print(g.text())
        "one neuron"
        x = input(2)
        w = param(2)
        y = sigmoid(w @ x)
        """
        from graphgrad.graph.writing import write

        return write(self)

    def save(self, path: str | os.PathLike[str], params: Mapping[str, object] | None = None) -> None:
        """Write the graph to a file, in JSON where the path ends in `.json`, and its weights beside it if they are given.

        The weights of `net.gg` are in `net.safetensors`: one array for each parameter by its identifier. Both files are
        complete or not written at all. Weights that lie there already stay as they are if none are given.

        Raises GraphError where a file cannot be written or the graph has no text form, DataError for weights that are
        missing, unknown, of another shape or not finite.

        >>> import graphgrad as gg, tempfile
        >>> g = gg.parse("w = param(2)")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     g.save(f"{folder}/net.gg", {"w": [1.0, 2.0]})
        ...     h = gg.load(f"{folder}/net.gg")
        ...     gg.load_params(f"{folder}/net.gg", h)
        {'w': array([1., 2.])}
        """
        from graphgrad.graph.save import save

        save(self, path, params)

    def check_gradients(
        self,
        arrays: Mapping[str, object] | None = None,
        /,
        *,
        of: str | Node | None = None,
        rtol: float = 1e-6,
        atol: float = 1e-8,
        most: int = 24,
        seed: int = 0,
        **named: object,
    ) -> GradientCheck:
        """The numeric gradient check, node by node: each ∂of/∂node against central differences.

        The arrays are given by name, or in one dictionary. `of` is a scalar node, the one scalar output of the graph if
        it is left out; of a scalar per sample, the sum over the samples is checked. Of a node with more than `most`
        elements, so many are drawn by `seed`, with one random direction through all of them.

        >>> import graphgrad as gg
        >>> with gg.Graph() as g:
        ...     x, w = gg.input("x", 2), gg.param("w", 2)
        ...     g.l = gg.square(w @ x)
        >>> g.check_gradients(x=[1.0, 2.0], w=[3.0, 0.5]).ok
        True
        """
        from graphgrad.calculus.check import check_gradients

        return check_gradients(self, {**(arrays or {}), **named}, of, rtol=rtol, atol=atol, most=most, seed=seed)

    def advice(self) -> list[str]:
        """A sentence for each loss that does not fit the output layer it is fed by, with the layer or the loss that does.

        What cannot be told from the graph is left alone. A step that is bound for training warns of the same, with
        AdviceWarning.

        >>> import graphgrad as gg
        >>> with gg.Graph() as g:
        ...     x, t, W = gg.input("x", 2), gg.input("t"), gg.param("W", 3, 2)
        ...     g.y = gg.sigmoid(W @ x)
        ...     g.l = gg.cross_entropy(g.y, t)
        >>> [sentence.partition("; ")[2][:40] for sentence in g.advice()]
        ['the output layer of cross_entropy is sof']
        """
        from graphgrad.ops.advice import advice

        return list(advice(self.nodes))

    def evaluation(self) -> Self:
        """The graph as it is used when it has been trained: with running statistics, and without dropout.

        It is another graph of the same names, in which batch normalisation takes its running statistics and dropout is
        the identity; gradients in it are those of the graph as used.

        >>> import graphgrad as gg
        >>> with gg.Graph() as g:
        ...     x, step = gg.input("x", 2), gg.param("step")
        ...     g.A = gg.dropout(x, step)
        >>> print(g.evaluation())
        A = x
        """
        from graphgrad.calculus.evaluation import evaluation

        return evaluation(self)

    def draw(
        self,
        values: Result | Mapping[Any, Any] | None = None,
        gradients: Mapping[Any, Any] | None = None,
        *,
        of: str | Node | None = None,
        theme: str = "light",
        collapse: bool | Iterable[str] | None = None,
        sample: int | None = None,
    ) -> Picture:
        """The picture of the graph, as SVG, PNG, PDF or DOT; in Jupyter it shows itself.

        values     the result of a compiled function, or arrays by name: written on the cards, above;
        gradients  arrays by name, below; a result brings its own, and says what they are the gradients `of`;
        theme      "light", "dark", or "auto", which follows the reader's screen;
        collapse   the groups drawn as one card each: True all, False none, or their titles; by default, in a graph of
                   more than 60 nodes, the innermost;
        sample     which sample of a batch is shown.

        Raises DataError where an array has not its node's shape, DrawingError where Graphviz is missing.

        >>> import graphgrad as gg
        >>> with gg.Graph("one neuron") as g:
        ...     x, w = gg.input("x", 2), gg.param("w", 2)
        ...     g.y = gg.sigmoid(w @ x)
        >>> g.draw({"x": [0.0, 1.0], "w": [1.0, 0.0], "y": 0.5})
        <Picture of one neuron: 4 cards, 3 edges>
        """
        from graphgrad.drawing import picture

        if values is None or isinstance(values, Mapping):
            arrays = values
        else:
            arrays = values.values
            if gradients is None and values.gradients:
                gradients, of = values.gradients, of or values.function.outputs[0]
        forward, backward = (
            None if given is None else {self[key]: array for key, array in given.items()}
            for given in (arrays, gradients)
        )
        return picture(self, forward, backward, None if of is None else self[of], theme, collapse, sample)

    def worksheet(
        self,
        arrays: Mapping[str, object] | None = None,
        /,
        *,
        of: str | Node | None = None,
        wrt: str | Node | Iterable[str | Node] = (),
        sample: int = 0,
        rate: float = 0.1,
        source: str = "",
        **named: object,
    ) -> Worksheet:
        """The network worked through: its lines and picture, forward and backward with numbers, each chain rule, one step.

        The arrays are given by name, or in one dictionary; those that are missing are drawn from a seed, and are said to
        be. `of` is a scalar node, the last scalar of the graph if it is left out; the chain rule is shown for each node
        of `wrt`, for all parameters if there is none. Of a loss per sample, one `sample` is worked through. `rate` is η
        in the step W := W - η ∂of/∂W, and `source` a sentence on where the numbers come from.

        `.save(path)` writes it as .html, .tex, .md or .ipynb; in Jupyter it shows itself.

        >>> import graphgrad as gg
        >>> with gg.Graph("one neuron") as g:
        ...     x, w = gg.input("x", 2), gg.param("w", 2)
        ...     g.l = gg.square(w @ x)
        >>> g.worksheet(x=[1.0, 2.0], w=[3.0, 0.5])
        <Worksheet of one neuron: 6 sections>
        """
        from graphgrad.interop.worksheets import worksheet

        chosen = [wrt] if isinstance(wrt, str | Node) else list(wrt)
        return worksheet(
            self,
            {**(arrays or {}), **named},
            last_scalar(self) if of is None else self[of],
            [self[one] for one in chosen],
            sample,
            rate,
            source,
        )


def last_scalar(graph: _Graph) -> Node:
    """The last scalar among the outputs of a graph: what is differentiated where nothing else is named."""
    for node in reversed(graph.outputs):
        if not node.shape:
            return node
    raise GraphError(f"{graph.title or 'this network'} has no scalar output: name a node to differentiate")


def input(name: str, *shape: int) -> Node:
    """Declare an input or a target of the open graph: a value of this shape for each sample, a number without one.

    The name is an identifier (`x`), a Greek letter or TeX (`\\vec{x}`). Raises NamingError for a name that is taken or
    that is none, ShapeError for a shape that is none.

    >>> import graphgrad as gg
    >>> with gg.Graph() as g:
    ...     x, t = gg.input("x", 2), gg.input("t")
    >>> x.shape, t.shape, x.per_sample
    ((2,), (), True)
    """
    return current().leaf("input", name, shape, per_sample=True)


def param(name: str, *shape: int) -> Node:
    """Declare a parameter of the open graph: one value of this shape that all samples share.

    >>> import graphgrad as gg
    >>> with gg.Graph() as g:
    ...     W0 = gg.param("W^{[0]}", 3, 2)
    >>> W0.name.ident, W0.shape, g.count_params()
    ('W0', (3, 2), 6)
    """
    return current().leaf("parameter", name, shape, per_sample=False)


def group(title: str) -> AbstractContextManager[None]:
    """Put the nodes that are written inside into a group (a layer) of the open graph.

    >>> import graphgrad as gg
    >>> with gg.Graph() as g:
    ...     x = gg.input("x", 2)
    ...     with gg.group("Layer 1"):
    ...         g.A = gg.sigmoid(x)
    >>> g.A.group
    ('Layer 1',)
    """
    return current().group(title)


def parse(text: str) -> Graph:
    """The graph that a text describes: declarations, then one `name = expression` a line; `docs/text-form.md` has it all.

    The text is read and never run. Raises TextError, with line and column, for what cannot be read.

    >>> import graphgrad as gg
    >>> g = gg.parse('''
    ... x = input(2)
    ... w = param(2)
    ... y = sigmoid(w @ x)
    ... ''')
    >>> g.y.shape, g.count_params()
    ((), 2)
    """
    from graphgrad.graph.text import read

    return read(text, Graph())


@overload
def network(function: Callable[..., object], *, title: str | None = None) -> Callable[..., Graph]: ...
@overload
def network(*, title: str) -> Callable[[Callable[..., object]], Callable[..., Graph]]: ...
def network(function: Callable[..., object] | None = None, *, title: str | None = None) -> Callable[..., Any]:
    """Write a network as a function: the decorated function returns a new graph at each call.

    An argument whose value is `Input(2)` or `Param(3, 2)` is declared under its own name, with `tex=...` for another
    one in TeX; any other argument is handed on. The names of the function's local variables become the names of the
    nodes that they hold when the function returns:

    * A node that several variables hold has the name of the first. A variable that is bound again, as in a loop, names
      the last of its nodes; the others are unnamed steps, under the next free letter.
    * Variables that begin with an underscore, and those that hold no node, name nothing. A number stays a number.
    * A variable that holds a gradient names a copy of it, which comes after the lines of the function.
    * An argument that is declared keeps its name: to bind it again raises NamingError.

    The title is the function's name with spaces, unless `title` gives one. Raises GraphError where the function returns
    anything but nodes.

    >>> import graphgrad as gg
    >>> @gg.network
    ... def one_neuron(x=gg.Input(2), w=gg.Param(2)):
    ...     z = w @ x
    ...     y = gg.sigmoid(z)
    >>> print(one_neuron())
    one neuron
    z = wᵀx
    y = σ(z)
    >>> one_neuron(x=gg.Input(5), w=gg.Param(5)).count_params()
    5
    """
    if function is None:
        return lambda function: _network(function, title, Graph)
    return _network(function, title, Graph)


def load(path: str | os.PathLike[str]) -> Graph:
    """The graph that `Graph.save` wrote to this path; its weights are read by `load_params`.

    Raises TextError, with file, line and column, for a text that cannot be read, GraphError for any other file.

    >>> import graphgrad as gg, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     gg.parse("x = input(2)\\nA = tanh(x)").save(f"{folder}/net.gg")
    ...     print(gg.load(f"{folder}/net.gg"))
    A = tanh(x)
    """
    from graphgrad.graph.save import load

    return load(path, Graph())


def load_params(path: str | os.PathLike[str], graph: Graph) -> dict[str, np.ndarray[Any, np.dtype[Any]]]:
    """The weights that were saved beside the graph of this path: an array for each parameter, by its identifier.

    Raises GraphError where there are none, DataError where they are not those of `graph`: other names or shapes,
    numbers that are not finite, anything but float32 and float64.

    >>> import graphgrad as gg, tempfile
    >>> g = gg.parse("w = param(2)")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     g.save(f"{folder}/net.gg", {"w": [1.0, 2.0]})
    ...     print(gg.load_params(f"{folder}/net.gg", g)["w"].tolist())
    [1.0, 2.0]
    """
    from graphgrad.graph.save import load_params

    return load_params(path, graph)
