"""Blocks: a few layers that are used together, in a group of their own."""

from __future__ import annotations

from graphgrad.graph import Node, ShapeError, current
from graphgrad.networks.layers import Activation, activated, convolution
from graphgrad.ops import concatenate, upsample


def residual_block(
    x: Node, filters: int | None = None, activation: Activation = "relu", name: str = "block", normalised: bool = False
) -> Node:
    """activation(x + F(x)), where F is two convolutions of 3; of other than x's channels, x goes through one of 1 first.

    Source: He, Zhang, Ren and Sun, Deep residual learning for image recognition, 2016.
    """
    count = filters or x.shape[0]
    with current().group(name):
        inner = convolution(x, count, activation, f"{name}_a", normalised=normalised)
        change = convolution(inner, count, None, f"{name}_b", normalised=normalised)
        short = x if count == x.shape[0] else convolution(x, count, None, f"{name}_short", size=1)
        total = current().define(f"z_{name}", short + change)
        return activated(total, activation, name)


def double_convolution(x: Node, filters: int, activation: Activation = "relu", name: str = "double") -> Node:
    """Two convolutions of 3, each with its activation: a level of a U-Net on the way down."""
    with current().group(name):
        return convolution(convolution(x, filters, activation, f"{name}_a"), filters, activation, name)


def u_net_block(x: Node, skip: Node, filters: int, activation: Activation = "relu", name: str = "up") -> Node:
    """A level of a U-Net on the way up: x with twice as many places beside what came down here, then two convolutions.

    Raises ShapeError where `skip` has not twice the places of x.
    Source: Ronneberger, Fischer and Brox, U-Net, 2015; with "same" padding and nearest up-sampling.
    """
    if skip.shape[1:] != tuple(2 * extent for extent in x.shape[1:]):
        raise ShapeError(f"u_net_block {name}: x is {x.type} and skip is {skip.type}, which has not twice its places")
    with current().group(name):
        larger = current().define(f"up_{name}", upsample(x, 2))
        beside = current().define(f"beside_{name}", concatenate(skip, larger))
        return double_convolution(beside, filters, activation, name)
