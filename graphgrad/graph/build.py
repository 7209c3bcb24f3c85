"""A graph written as a function: its arguments are declarations, its local names become the names of nodes."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import CodeType, FrameType
from typing import Any, ClassVar, TypeVar

from graphgrad.graph.errors import GraphError, NamingError, shown
from graphgrad.graph.graph import Graph
from graphgrad.graph.names import name
from graphgrad.graph.node import Kind, Node
from graphgrad.graph.notation import formula
from graphgrad.graph.place import Place, here

G = TypeVar("G", bound=Graph)


@dataclass(frozen=True, init=False)
class Declaration:
    """What an argument of a network declares: a shape, and the name in TeX where that is not the usual one."""

    kind: ClassVar[Kind]
    shape: tuple[int, ...]
    tex: str | None

    def __init__(self, *shape: int, tex: str | None = None) -> None:
        object.__setattr__(self, "shape", shape)
        object.__setattr__(self, "tex", tex)


class Input(Declaration):
    """An argument that is an input or a target: a value of this shape for each sample.

    >>> import graphgrad as gg
    >>> @gg.network
    ... def double(x=gg.Input(3)):
    ...     y = 2 * x
    >>> double().y.shape, double(x=gg.Input(5)).y.shape
    ((3,), (5,))
    """

    kind = "input"


class Param(Declaration):
    """An argument that is a parameter: one value of this shape that all samples share; `tex` is its name in TeX.

    >>> import graphgrad as gg
    >>> @gg.network
    ... def layer(x=gg.Input(2), W0=gg.Param(3, 2, tex="W^{[0]}")):
    ...     A = W0 @ x
    >>> print(layer())
    layer
    A = W⁽⁰⁾x
    """

    kind = "parameter"


def network(function: Callable[..., Any], title: str | None, make: Callable[[str], G]) -> Callable[..., G]:
    """A function that returns the graph that a call of `function` writes, into a graph that `make(title)` begins."""
    if (
        not inspect.isfunction(function)
        or inspect.isgeneratorfunction(function)
        or inspect.iscoroutinefunction(function)
    ):
        raise GraphError(f"network decorates a plain function, and {shown(function)} is none")
    usual = function.__name__.replace("_", " ").strip()

    @functools.wraps(function)
    def write(*arguments: Any, **named: Any) -> G:
        return _write(function, arguments, named, make(usual if title is None else title))

    return write


def _write(function: Callable[..., Any], arguments: tuple[Any, ...], named: dict[str, Any], graph: G) -> G:
    code = inspect.unwrap(function).__code__
    try:
        call = inspect.signature(function).bind(*arguments, **named)
    except TypeError as misfit:
        raise GraphError(f"{function.__name__}: {misfit}") from None
    call.apply_defaults()
    caller = _Caller(code)
    with graph:
        with graph.written_by(lambda: Place(code.co_filename, code.co_firstlineno)):
            call.arguments |= dict(_declared(graph, function.__name__, call.arguments))
        with graph.written_by(caller.where):
            returned = function(*call.args, **call.kwargs)
        _check_returned(graph, function.__name__, returned)
        for node, ident in caller.names(graph):
            _name(graph, function.__name__, node, ident)
    return graph


def _declared(graph: Graph, function: str, arguments: dict[str, Any]) -> Iterator[tuple[str, Node]]:
    """The leaves that the arguments declare."""
    for argument, value in arguments.items():
        if isinstance(value, Declaration):
            label = name(value.tex or argument, parameter=value.kind == "parameter")
            if label.ident != argument:
                raise NamingError(f"{function}: {label.tex} is called {label.ident} in Python, not {argument}")
            yield argument, graph.leaf(value.kind, value.tex or argument, value.shape, value.kind == "input")
        elif isinstance(value, tuple | dict) and any(isinstance(part, Declaration) for part in value):
            raise NamingError(f"{function}: a declaration in {argument} has no name, give each an argument of its own")


class _Caller:
    """The call of a network's function, of which the local names are wanted when it has returned.

    Its frame is met on the way up from the first node that it makes, and kept: the locals of a frame that somebody
    holds outlive the call, as a debugger relies on after an error. So the function runs as it stands, without
    a profile or trace hook that would displace those of a profiler, a debugger or a coverage measurement, and without
    a second version of its source.
    """

    def __init__(self, code: CodeType) -> None:
        self.code = code
        self.frame: FrameType | None = None

    def where(self) -> Place | None:
        if self.frame is None:
            self.frame = inspect.currentframe()
            while self.frame is not None and self.frame.f_code is not self.code:
                self.frame = self.frame.f_back
        return here()

    def names(self, graph: Graph) -> list[tuple[Node, str]]:
        """The nodes that local names hold, in the order of the nodes; the first name of a node is its name."""
        if self.frame is None:
            return []
        own = (*self.code.co_varnames, *self.code.co_cellvars)
        values = self.frame.f_locals
        held: dict[Node, str] = {}
        for local in own:
            value = values.get(local)
            if isinstance(value, Node) and value.graph is graph and not local.startswith("_"):
                held.setdefault(value, local)
        self.frame = None
        order = {node: position for position, node in enumerate(graph.nodes)}
        return sorted(held.items(), key=lambda item: order.get(item[0], len(order)))


def _name(graph: Graph, function: str, node: Node, ident: str) -> None:
    given = graph.given_name(node)
    if given is not None:
        return
    first = graph.find(ident)
    if first is not None and first.kind != "operation":
        raise NamingError(
            f"{function}: {ident} is {'an' if first.kind == 'input' else 'a'} {first.kind} and is bound again, to "
            f"{formula(node, 'unicode')}{f' ({node.place})' if node.place else ''}; give that line a name of its own"
        )
    graph.define(ident, node)


def _check_returned(graph: Graph, function: str, returned: Any) -> None:
    parts = returned if isinstance(returned, tuple | list) else [] if returned is None else [returned]
    for part in parts:
        if not isinstance(part, Node) or part.graph is not graph:
            raise GraphError(f"{function} returns {shown(part)}: a network returns nodes of its own, or nothing")
