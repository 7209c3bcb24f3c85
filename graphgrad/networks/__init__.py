"""Layers as functions that write into the open graph, and the lecture's networks by name."""

from graphgrad.networks.blocks import double_convolution, residual_block, u_net_block
from graphgrad.networks.layers import convolution, dense, pooling
from graphgrad.networks.lecture import (
    chain_toy,
    fcn,
    full_connection,
    k_class_cnn,
    local_connection,
    localisation,
    logistic_neuron,
    shared_connection,
    two_class_cnn,
    two_hidden_layers,
    u_net,
)

__all__ = [
    "chain_toy",
    "convolution",
    "dense",
    "double_convolution",
    "fcn",
    "full_connection",
    "k_class_cnn",
    "local_connection",
    "localisation",
    "logistic_neuron",
    "pooling",
    "residual_block",
    "shared_connection",
    "two_class_cnn",
    "two_hidden_layers",
    "u_net",
    "u_net_block",
]
