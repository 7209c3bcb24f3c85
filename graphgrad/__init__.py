"""graphgrad: symbolic computation graphs, their gradients as formulas, and compiled code for both.

A network is written one named line at a time; every gradient is a node of the same graph; one step is compiled into
readable Numba source.

>>> import graphgrad as gg
>>> with gg.Graph("one neuron") as g:
...     x, t, w = gg.input("x", 2), gg.input("t"), gg.param("w", 2)
...     g.y = gg.sigmoid(w @ x)
...     g.l = gg.binary_cross_entropy(g.y, t)
>>> print(gg.grad(g.l, w).text())
∂l/∂w = ∂l/∂A · x
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from graphgrad.calculus.chain import Chain, chain
from graphgrad.calculus.gradient import grad
from graphgrad.graph import (
    DataError,
    GradientError,
    GraphError,
    NamingError,
    Node,
    NotFiniteWarning,
    ShapeError,
    TextError,
)
from graphgrad.graph.build import Input, Param
from graphgrad.ops import (
    abs_,
    absolute_error,
    add,
    argmax,
    argmin,
    batch_mean,
    batch_sum,
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cross_entropy,
    cross_entropy_with_logits,
    dice,
    divide,
    elastic_net,
    elementwise,
    exp,
    expm1,
    focal,
    focal_with_logits,
    hinge,
    identity,
    kl_divergence,
    l1,
    l2,
    log,
    log1p,
    log_softmax,
    logsumexp,
    matmul,
    max_,
    mean,
    min_,
    multi_class_hinge,
    multiply,
    negative,
    outer,
    power,
    reciprocal,
    relu,
    sigmoid,
    sign,
    softmax,
    sqrt,
    square,
    squared_error,
    step,
    subtract,
    sum_,
    tanh,
    transpose,
)
from graphgrad.public import Graph, group, input, load, load_params, network, param, parse

if TYPE_CHECKING:
    from graphgrad.runtime.function import Function, Result, compile
    from graphgrad.training.fit import History, fit
    from graphgrad.training.optimizers import SGD, Adam

__version__ = "0.1.0"

abs, max, min, sum = abs_, max_, min_, sum_

_LATER = {
    "Adam": "graphgrad.training.optimizers",
    "Function": "graphgrad.runtime.function",
    "History": "graphgrad.training.fit",
    "Result": "graphgrad.runtime.function",
    "SGD": "graphgrad.training.optimizers",
    "compile": "graphgrad.runtime.function",
    "fit": "graphgrad.training.fit",
}
"""What is imported when it is first used, since Numba comes with it."""


def __getattr__(name: str) -> Any:
    if name in _LATER:
        return getattr(importlib.import_module(_LATER[name]), name)
    raise AttributeError(f"module 'graphgrad' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__


__all__ = [
    "SGD",
    "Adam",
    "Chain",
    "DataError",
    "Function",
    "GradientError",
    "Graph",
    "GraphError",
    "History",
    "Input",
    "NamingError",
    "Node",
    "NotFiniteWarning",
    "Param",
    "Result",
    "ShapeError",
    "TextError",
    "abs",
    "absolute_error",
    "add",
    "argmax",
    "argmin",
    "batch_mean",
    "batch_sum",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "chain",
    "compile",
    "cross_entropy",
    "cross_entropy_with_logits",
    "dice",
    "divide",
    "elastic_net",
    "elementwise",
    "exp",
    "expm1",
    "fit",
    "focal",
    "focal_with_logits",
    "grad",
    "group",
    "hinge",
    "identity",
    "input",
    "kl_divergence",
    "l1",
    "l2",
    "load",
    "load_params",
    "log",
    "log1p",
    "log_softmax",
    "logsumexp",
    "matmul",
    "max",
    "mean",
    "min",
    "multi_class_hinge",
    "multiply",
    "negative",
    "network",
    "outer",
    "param",
    "parse",
    "power",
    "reciprocal",
    "relu",
    "sigmoid",
    "sign",
    "softmax",
    "sqrt",
    "square",
    "squared_error",
    "step",
    "subtract",
    "sum",
    "tanh",
    "transpose",
]
