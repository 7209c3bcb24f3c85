"""Everything that a worksheet shows, computed: values, gradients, factors, one step of descent, the gradient check."""

from __future__ import annotations

import base64
import inspect
import io
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from graphgrad.calculus.chain import chain
from graphgrad.calculus.check import check_gradients
from graphgrad.calculus.equations import equations
from graphgrad.calculus.gradient import sweep
from graphgrad.drawing.picture import picture
from graphgrad.drawing.worksheet import Numbers, Worksheet
from graphgrad.graph import DataError, GradientError, Graph, GraphError, Node
from graphgrad.graph.data import bind
from graphgrad.graph.domain import Domain, expected
from graphgrad.graph.writing import write
from graphgrad.ops.elementwise import Elementwise
from graphgrad.ops.symbolic import sp
from graphgrad.runtime.function import compile
from graphgrad.training.initial import initial

if TYPE_CHECKING:
    from graphgrad.graph.data import Array

SEED = 0
MOST_INLINE = 2000
"""How many numbers a notebook holds in its code."""


def worksheet(
    graph: Graph,
    arrays: Mapping[str, object],
    of: Node,
    wrt: Iterable[Node] = (),
    sample: int = 0,
    rate: float = 0.1,
    source: str = "",
) -> Worksheet:
    """The worksheet of a network for these arrays; what is not given is drawn from a seed.

    Of a loss per sample, the one sample is worked through; of an objective, all samples are, and what each has for
    itself is shown of that sample.
    """
    if of.shape:
        raise GradientError(f"{of.text()} has the shape {of.type}: a worksheet is about the gradient of a scalar")
    if not rate > 0:
        raise GraphError(f"the rate of the step is {rate}, and is larger than 0")
    way = tuple(sweep(of))
    chosen = tuple(wrt) or tuple(node for node in graph.parameters if node in way)
    if not chosen:
        raise GradientError(f"{of.text()} depends on no parameter: name what the gradient is with respect to")
    chains = tuple(chain(of, node) for node in chosen)
    given, told = _complete(graph, arrays, source)
    given, sample, samples = _of_sample(graph, given, of, sample)
    f = compile(graph, of, wrt=way, target="numpy")
    needed = {name: array for name, array in given.items() if name in {leaf.op.name for leaf in f.inputs}}
    result = f(**needed)
    values = {node: _shown(array, node, result.single, sample) for node, array in result.values.items()}
    gradients = {node: _shown(array, node, result.single, sample) for node, array in result.gradients.items()}
    factors = {each: _numbers_of(each, needed, result.single, sample) for each in chains}
    trained = [node for node in chosen if node.kind == "parameter"]
    summed = {node: _over_samples(result.gradients[node], node, of, result.single) for node in trained}
    after = {node: values[node] - rate * summed[node] for node in trained}
    stepped = f(**{**needed, **{node.op.name: array for node, array in after.items()}})
    numbers = Numbers(
        values,
        {**gradients, **summed},
        factors,
        rate,
        after,
        (float(np.sum(result[of])), float(np.sum(stepped[of]))),
        check_gradients(graph, needed, of),
        f"{told}{f' Shown: sample {sample + 1} of {samples}.' if samples > 1 else ''}",
        _code(graph, of, needed),
    )
    drawn = picture(graph, values, gradients, of, "auto")
    return Worksheet(graph, of, tuple(equations(of, chosen)), chains, numbers, drawn)


def _of_sample(graph: Graph, given: dict[str, Any], of: Node, sample: int) -> tuple[dict[str, Any], int, int]:
    """The arrays that are worked with: of a loss per sample, those of one sample."""
    leaves = [leaf for leaf in (*graph.inputs, *graph.parameters) if leaf.op.name in given]
    bound, samples, single = bind(tuple(leaves), given, np.dtype(float))
    count = samples or 1
    if not 0 <= sample < count:
        raise DataError(f"the sample {sample + 1} does not exist: there are {count}")
    arrays = {leaf.op.name: bound[leaf] for leaf in leaves}
    if of.per_sample or single:
        arrays |= {leaf.op.name: bound[leaf][sample] for leaf in leaves if leaf.per_sample}
        return arrays, 0, 1
    return arrays, sample, count


def _shown(array: Any, node: Node, single: bool, sample: int) -> Array:
    whole = np.asarray(array)
    return whole[sample] if node.per_sample and not single else whole


def _over_samples(array: Any, node: Node, of: Node, single: bool) -> Array:
    """A gradient of a parameter as it is descended: that of a loss per sample is summed over the samples."""
    whole = np.asarray(array)
    return whole.sum(axis=0) if of.per_sample and not single else whole


def _numbers_of(each: Any, needed: Mapping[str, Any], single: bool, sample: int) -> dict[Any, Array]:
    """The numbers of the factors; empty where they are too many to be written out."""
    try:
        found = each.values(needed)
    except GradientError:
        return {}
    shown = {}
    for factor, array in found.items():
        ranks = len(factor.of.shape) + len(factor.wrt.shape)
        per_sample = array.ndim > ranks and not single
        matrix = array[sample] if per_sample else array
        if matrix.ndim != ranks:
            continue
        shown[factor] = matrix.reshape(-1, factor.wrt.type.size) if factor.wrt.shape else matrix.reshape(-1, 1)[:, 0]
    return shown


# -- arrays that are not given ---------------------------------------------------------------------------------------


def _complete(graph: Graph, arrays: Mapping[str, object], source: str) -> tuple[dict[str, Any], str]:
    """The arrays with those drawn that are missing, and a sentence on where they come from."""
    missing = [leaf for leaf in (*graph.inputs, *graph.parameters) if leaf.op.name not in arrays]
    if not missing:
        return dict(arrays), source or "All numbers were given."
    found = dict(arrays)
    asked = expected(graph.nodes)
    generator = np.random.default_rng(SEED)
    weights = initial(graph, SEED)
    for leaf in missing:
        if leaf.kind == "parameter":
            found[leaf.op.name] = weights[leaf.op.name]
        else:
            found[leaf.op.name] = _drawn(leaf, [domain for _, domain in asked.get(leaf, ())], generator)
    names = ", ".join(leaf.name.text for leaf in missing if leaf.name)
    return found, f"{source + ' ' if source else ''}Drawn as an example from the seed {SEED}: {names}."


def _drawn(leaf: Node, domains: list[Domain], generator: np.random.Generator) -> Array:
    """Numbers that are easily read, and that the operations on them take."""
    if not domains:
        return np.round(generator.normal(size=leaf.shape), 1)
    domain = domains[0]
    if domain.ends or domain.unit:
        return generator.choice([domain.low, domain.high], leaf.shape)
    low, high = max(domain.low, -10.0), min(domain.high, 10.0)
    return generator.integers(int(np.ceil(low)), int(high) + 1, leaf.shape).astype(float)


# -- code for a notebook -----------------------------------------------------------------------------------------------


def _code(graph: Graph, of: Node, arrays: Mapping[str, Any]) -> str:
    """Python that makes the network and the arrays again."""
    try:
        text = write(graph)
    except GraphError as error:
        return f"# This network has no text form, so that it cannot be made again here: {' '.join(str(error).split())}"
    own = {node.op.name: node.op for node in graph.nodes if isinstance(node.op, Elementwise) and not node.op.built_in}
    lines = [
        "import numpy as np",
        *(["import sympy as sp"] if own else []),
        "import graphgrad as gg",
        "",
        *(_definition(op) for op in own.values()),
        f'graph = gg.parse("""\n{text}""")',
        *_given(arrays),
        f'objective = graph["{of.name.ident if of.name else ""}"]',
        'result = gg.compile(graph, objective, wrt=[*graph.parameters, *graph.steps[:-1]], target="numpy")(**arrays)',
        "graph.draw(values=result, sample=0)",
    ]
    return "\n".join(lines)


def _given(arrays: Mapping[str, Any]) -> list[str]:
    """The arrays as they are read, or packed where they are long."""
    if sum(np.size(array) for array in arrays.values()) <= MOST_INLINE:
        rows = (f'    "{name}": np.array({np.asarray(array).tolist()}),' for name, array in arrays.items())
        return ["arrays = {", *rows, "}"]
    packed = io.BytesIO()
    named: dict[str, Any] = {name: np.asarray(array) for name, array in arrays.items()}
    np.savez_compressed(packed, **named)
    text = base64.b64encode(packed.getvalue()).decode()
    return [
        "import base64, io",
        "",
        f'packed = "{text}"',
        "arrays = dict(np.load(io.BytesIO(base64.b64decode(packed)), allow_pickle=False))",
    ]


def _definition(op: Elementwise) -> str:
    """The user's own operation, from its formula."""
    signature = inspect.signature(op.body)
    options = {name: sp.Symbol(name, real=True) for name in list(signature.parameters)[op.arity :]}
    shown = re.sub(r"\b([A-Za-z]\w*)(?=\()", r"sp.\1", str(op.body(*op.symbols, **options)))
    return f'gg.elementwise("{op.name}", lambda {str(signature)[1:-1]}: {shown})'
