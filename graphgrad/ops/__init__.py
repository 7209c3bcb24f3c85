"""Every operation, one definition each, by family; importing this package fills the register of operations."""

from graphgrad.ops.activations import relu, sigmoid, tanh
from graphgrad.ops.arithmetic import (
    abs_,
    add,
    divide,
    exp,
    expm1,
    identity,
    log,
    log1p,
    multiply,
    negative,
    power,
    reciprocal,
    sign,
    sqrt,
    square,
    step,
    subtract,
)
from graphgrad.ops.batch import batch_mean, batch_sum
from graphgrad.ops.classes import cross_entropy, cross_entropy_with_logits, dice, kl_divergence, multi_class_hinge
from graphgrad.ops.elementwise import Elementwise, elementwise
from graphgrad.ops.extremes import argmax, argmin, max_, min_
from graphgrad.ops.linear import matmul, outer, transpose
from graphgrad.ops.losses import (
    absolute_error,
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    focal,
    focal_with_logits,
    hinge,
    squared_error,
)
from graphgrad.ops.reductions import mean, sum_
from graphgrad.ops.regularisers import elastic_net, l1, l2
from graphgrad.ops.softmax import log_softmax, logsumexp, softmax

__all__ = [
    "Elementwise",
    "abs_",
    "absolute_error",
    "add",
    "argmax",
    "argmin",
    "batch_mean",
    "batch_sum",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "cross_entropy_with_logits",
    "dice",
    "divide",
    "elastic_net",
    "elementwise",
    "exp",
    "expm1",
    "focal",
    "focal_with_logits",
    "hinge",
    "identity",
    "kl_divergence",
    "l1",
    "l2",
    "log",
    "log1p",
    "log_softmax",
    "logsumexp",
    "matmul",
    "max_",
    "mean",
    "min_",
    "multi_class_hinge",
    "multiply",
    "negative",
    "outer",
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
    "sum_",
    "tanh",
    "transpose",
]
