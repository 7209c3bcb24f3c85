"""Activation functions. Adding one costs about four lines here, and nothing elsewhere."""

from __future__ import annotations

from graphgrad.graph import Notation
from graphgrad.ops.arithmetic import step
from graphgrad.ops.elementwise import built_in
from graphgrad.ops.symbolic import sp, where

sigmoid = built_in(
    "sigmoid",
    lambda z: 1 / (1 + sp.exp(-z)),
    lambda y, z: y * (1 - y),
    Notation(r"\sigma\left({0}\right)", "σ({0})", "sigmoid({0})"),
)
tanh = built_in(
    "tanh",
    lambda z: sp.tanh(z),
    lambda y, z: 1 - y**2,
    Notation(r"\tanh\left({0}\right)", "tanh({0})", "tanh({0})"),
)
relu = built_in(
    "relu",
    lambda z: where(z <= 0, 0, z),
    lambda y, z: step(z),
    Notation(r"\operatorname{ReLU}\left({0}\right)", "ReLU({0})", "relu({0})"),
)

__all__ = ["relu", "sigmoid", "tanh"]
