"""Advice: does the loss fit the output layer that it is fed by?

The lecture's rule, "do not forget to adjust the output layer with the loss", as a table: what each loss takes, what each
operation gives, and the sentence for a pair that does not fit. What cannot be told from the graph (an input, an operation
of the user's own) is left alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from graphgrad.graph import Node, formula, written

PROBABILITY, DISTRIBUTION, LOGARITHM, SCORE = "probability", "distribution", "logarithm", "score"

GIVES = {
    **dict.fromkeys(("sigmoid", "hard_sigmoid"), PROBABILITY),
    "softmax": DISTRIBUTION,
    **dict.fromkeys(("log_softmax", "log_sigmoid"), LOGARITHM),
    **dict.fromkeys(("matmul", "dot", "einsum", "conv", "conv_transpose", "locally_connected"), SCORE),
    **dict.fromkeys(("batch_norm", "layer_norm", "instance_norm", "group_norm"), SCORE),
    **dict.fromkeys(("relu", "leaky_relu", "prelu", "elu", "selu", "celu", "gelu", "silu", "mish", "softplus"), SCORE),
    **dict.fromkeys(("tanh", "hard_tanh", "softsign", "logsumexp"), SCORE),
}
"""What comes out of an operation, where its name tells."""

MOVES = frozenset({"identity", "reshape", "flatten", "squeeze", "expand_dims", "permute", "broadcast_to", "upsample"})
"""Operations that leave values as they are."""

MOST_STEPS = 8
"""How far back it is looked for what an operation gives that takes over what its operands hold."""

TAKES = {
    "binary_cross_entropy": PROBABILITY,
    "focal": PROBABILITY,
    "cross_entropy": DISTRIBUTION,
    "kl_divergence": DISTRIBUTION,
    "dice": PROBABILITY,
    "binary_cross_entropy_with_logits": SCORE,
    "cross_entropy_with_logits": SCORE,
    "focal_with_logits": SCORE,
    "hinge": SCORE,
    "multi_class_hinge": SCORE,
}
"""What a loss takes as its first operand."""

ON_SCORES = {
    "binary_cross_entropy": "binary_cross_entropy_with_logits",
    "focal": "focal_with_logits",
    "cross_entropy": "cross_entropy_with_logits",
}
"""The same loss on scores, which holds the output layer itself."""

ON_PROBABILITIES = {on_scores: loss for loss, on_scores in ON_SCORES.items()}


def advice(nodes: Iterable[Node]) -> Iterator[str]:
    """A sentence for each loss among the nodes whose output layer does not fit it, with the one that does."""
    for node in nodes:
        if node.inputs and (takes := TAKES.get(node.op.name)) is not None:
            gives = _given(node.inputs[0])
            fits = gives == takes or (node.op.name == "dice" and gives == DISTRIBUTION)
            wrong = _wrong_axis(node) if fits else _wrong_layer(node, takes, gives)
            if wrong:
                line = f" ({node.place})" if node.place else ""
                yield f"{node.name} = {formula(node)}{line}: {wrong}"


def _given(node: Node, steps: int = MOST_STEPS) -> str | None:
    """What a node holds, as far as its operation tells."""
    if not node.inputs or not steps:
        return None
    name = node.op.name
    if name not in MOVES and name not in ("slice", "add", "subtract"):
        return GIVES.get(name)
    given = [_given(operand, steps - 1) for operand in node.inputs]
    if name == "slice" and given[0] == DISTRIBUTION:
        return PROBABILITY
    if name in ("add", "subtract"):
        first = node.inputs[0]
        rest = name == "subtract" and first.kind == "constant" and first.op.value == 1 and given[1] == PROBABILITY
        return PROBABILITY if rest else SCORE if SCORE in given else None
    return given[0]


def _wrong_layer(loss: Node, takes: str, gives: str | None) -> str:
    """What is wrong where a loss is given something else than it takes; empty where that cannot be told."""
    if gives is None:
        return ""
    name, output, target = loss.op.name, loss.inputs[0], written(loss.inputs[1])
    shown, before = f"{_sign(output)} = {formula(output)}", _before(output)
    layer, axis = ("sigmoid", "") if takes == PROBABILITY else ("softmax", ", axis=0" * (output.type.rank > 1))
    if takes == SCORE:
        instead = f"{name}({before}, {target})"
        if gives in (PROBABILITY, DISTRIBUTION) and name in ON_PROBABILITIES:
            fitting = ON_PROBABILITIES[name] if gives == PROBABILITY or name.startswith("cross") else "cross_entropy"
            instead += f", or {fitting}({_sign(output)}, {target}) on what is there"
        return f"{name} takes scores, and {shown} is the {_kind(gives)} of them already; write {instead}"
    if gives == SCORE:
        instead = f"put a {layer} before it, {name}({layer}({_sign(output)}{axis}), {target})"
        if name in ON_SCORES:
            instead += f", or write {ON_SCORES[name]}({_sign(output)}, {target})"
        return f"{name} takes the output of a {layer}, and {shown} is a score; {instead}"
    if gives == LOGARITHM:
        return f"{name} takes the output of a {layer}, and {shown} is a logarithm; write {name}({layer}({before}{axis}), {target})"
    if takes == DISTRIBUTION:
        return (
            f"{name} takes K probabilities that add up to 1, and those of {shown} do not; the output layer of "
            f"{name} is softmax, {name}(softmax({before}{axis}), {target}), and that of two classes told apart by one number, or "
            f"of classes that do not exclude each other, has binary_cross_entropy"
        )
    return (
        f"{name} takes one probability for each yes or no, and {shown} shares one among K classes; the loss of a softmax is "
        f"cross_entropy({_sign(output)}, {target}), and the output layer of {name} is sigmoid"
    )


def _wrong_axis(loss: Node) -> str:
    """What is wrong where the softmax before a cross entropy is taken over another axis than that of the classes."""
    output = loss.inputs[0]
    if output.kind != "operation" or output.op.name != "softmax" or output.op.axis in (0, -output.type.rank):
        return ""
    return (
        f"the classes lie along the first axis, and {_sign(output)} = {formula(output)} is a softmax over axis "
        f"{output.op.axis}; write softmax({_before(output)}, axis=0)"
    )


def _sign(node: Node) -> str:
    return node.name.ident if node.name else written(node)


def _before(node: Node) -> str:
    """The scores that an output layer is made of, past whatever only moves them."""
    while node.inputs and node.op.name in (*MOVES, "slice"):
        node = node.inputs[0]
    return _sign(node.inputs[0]) if node.inputs else _sign(node)


def _kind(gives: str) -> str:
    return {PROBABILITY: "sigmoid", DISTRIBUTION: "softmax", LOGARITHM: "logarithm"}[gives]
