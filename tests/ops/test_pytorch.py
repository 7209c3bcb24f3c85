"""PyTorch 2.13 as an oracle: values and gradients of the operations that both have, over their options.

It is no part of the default environment: `make oracle` runs this file where PyTorch is installed.
"""

from __future__ import annotations

import numpy as np
import pytest

import graphgrad as gg

torch = pytest.importorskip("torch", reason="PyTorch is not installed: `make oracle` has it")
F = torch.nn.functional
SAMPLES = 3

IN_SINGLE = ("hard_sigmoid", "celu(alpha=0.3")
"""Operations whose constants PyTorch has in float32 whatever the dtype."""

# What is computed, by us and by PyTorch, on operands of these shapes; an `x` has a value for each sample, a `w` is shared.
CASES: dict[str, tuple] = {}


def case(name, shapes, ours, theirs):
    assert name not in CASES, name
    CASES[name] = (shapes, ours, theirs)


def unary(name, theirs, ours=None, **options):
    shown = ", ".join(f"{key}={value}" for key, value in options.items())
    made = ours or getattr(gg, name)
    case(f"{name}({shown})", {"x": (4, 3)}, lambda x: made(x, **options), theirs)


for name in "relu elu celu selu softplus softsign mish silu hardtanh hardsigmoid logsigmoid tanh sigmoid leaky_relu gelu".split():
    ours = {"hardtanh": "hard_tanh", "hardsigmoid": "hard_sigmoid", "logsigmoid": "log_sigmoid"}.get(name, name)
    unary(ours, getattr(F, name, None) or getattr(torch, name))
unary("elu", lambda x: F.elu(x, 0.3), alpha=0.3)
unary("celu", lambda x: F.celu(x, 0.3), alpha=0.3)
unary("leaky_relu", lambda x: F.leaky_relu(x, 0.2), alpha=0.2)
unary("softplus", lambda x: F.softplus(x, beta=2.0), beta=2.0)
unary("gelu", lambda x: F.gelu(x, approximate="tanh"), approximate="tanh")
for name in "exp expm1 sin cos tan sinh cosh asinh atan erf square sign abs floor ceil round".split():
    unary(name, getattr(torch, name))
for name, ours, theirs in (
    ("log", gg.log, torch.log),
    ("log1p", gg.log1p, torch.log1p),
    ("sqrt", gg.sqrt, torch.sqrt),
    ("rsqrt", gg.rsqrt, torch.rsqrt),
):
    case(
        f"{name} of squares",
        {"x": (4, 3)},
        lambda x, f=ours: f(gg.square(x) + 0.1),
        lambda x, f=theirs: f(x**2 + 0.1),
    )
case("prelu", {"x": (4, 3), "w": (4, 1)}, gg.prelu, lambda x, w: torch.where(x > 0, x, w * x))

for axis in (0, -1, None):
    dims = (-2, -1) if axis is None else (-2 if axis == 0 else -1,)
    for keepdims in (False, True):
        for name, ours, theirs in (
            ("sum", gg.sum, lambda x, d, k: x.sum(d, keepdim=k)),
            ("mean", gg.mean, lambda x, d, k: x.mean(d, keepdim=k)),
            ("max", gg.max, lambda x, d, k: torch.amax(x, d, keepdim=k)),
            ("min", gg.min, lambda x, d, k: torch.amin(x, d, keepdim=k)),
            ("logsumexp", gg.logsumexp, lambda x, d, k: torch.logsumexp(x, d, keepdim=k)),
            ("variance", gg.variance, lambda x, d, k: torch.var(x, d, keepdim=k)),
            ("std", gg.std, lambda x, d, k: torch.std(x, d, keepdim=k)),
            ("norm", gg.norm, lambda x, d, k: torch.linalg.vector_norm(x, 2, d, keepdim=k)),
        ):
            case(
                f"{name}(axis={axis}, keepdims={keepdims})",
                {"x": (4, 3)},
                lambda x, f=ours, a=axis, k=keepdims: f(x, axis=a, keepdims=k),
                lambda x, f=theirs, d=dims, k=keepdims: f(x, d, k),
            )
case(
    "variance(correction=0)",
    {"x": (4, 3)},
    lambda x: gg.variance(x, axis=0, correction=0),
    lambda x: torch.var(x, 1, correction=0),
)
case("norm(ord=1)", {"x": (4, 3)}, lambda x: gg.norm(x, ord=1, axis=-1), lambda x: torch.linalg.vector_norm(x, 1, -1))
case("prod", {"x": (4, 3)}, lambda x: gg.prod(x, axis=-1), lambda x: torch.prod(x, -1))
for axis in (0, -1):
    for name, made, theirs in (
        ("softmax", gg.softmax, F.softmax),
        ("log_softmax", gg.log_softmax, F.log_softmax),
    ):
        case(
            f"{name}(axis={axis})",
            {"x": (4, 3)},
            lambda x, f=made, a=axis: f(x, axis=a),
            lambda x, f=theirs, a=axis: f(x, 1 if a == 0 else -1),
        )

convolutions = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
transposed = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}
for rank, size in ((1, (9,)), (2, (8, 7)), (3, (5, 6, 5))):
    for options in (
        {},
        {"stride": 2},
        {"padding": 1},
        {"padding": "same"},
        {"dilation": 2},
        {"groups": 2},
        {"stride": 2, "padding": 1, "groups": 2},
    ):
        groups = options.get("groups", 1)
        case(
            f"conv{rank}d({options})",
            {"x": (4, *size), "w": (6, 4 // groups, *([3] * rank))}
            if options.get("dilation", 1) == 1
            else {"x": (4, *size), "w": (6, 4, *([2] * rank))},
            lambda x, w, o=options: gg.conv(x, w, **o),
            lambda x, w, f=convolutions[rank], o=options: f(x, w, **o),
        )
    for options in (
        {},
        {"stride": 2},
        {"stride": 2, "padding": 1, "output_padding": 1},
        {"dilation": 2},
        {"groups": 2},
    ):
        groups = options.get("groups", 1)
        case(
            f"conv_transpose{rank}d({options})",
            {"x": (4, *[3] * rank), "w": (4, 6 // groups, *([3] * rank))},
            lambda x, w, o=options: gg.conv_transpose(x, w, **o),
            lambda x, w, f=transposed[rank], o=options: f(x, w, **o),
        )

maximal = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
average = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}
for rank, size in ((1, (9,)), (2, (8, 7)), (3, (5, 6, 5))):
    for options in (
        {},
        {"stride": 1},
        {"stride": 2, "padding": 1},
        {"ceil_mode": True},
        {"stride": 2, "padding": 1, "ceil_mode": True},
    ):
        case(
            f"max_pool{rank}d({options})",
            {"x": (2, *size)},
            lambda x, o=options: gg.max_pool(x, 3, **o),
            lambda x, f=maximal[rank], o=options: f(x, 3, **o),
        )
        for count in (True, False):
            case(
                f"avg_pool{rank}d({options}, count_include_pad={count})",
                {"x": (2, *size)},
                lambda x, o=options, c=count: gg.avg_pool(x, 3, count_include_pad=c, **o),
                lambda x, f=average[rank], o=options, c=count: f(x, 3, count_include_pad=c, **o),
            )
    case(
        f"max_pool{rank}d(dilation=2)",
        {"x": (2, *size)},
        lambda x: gg.max_pool(x, 2, dilation=2),
        lambda x, f=maximal[rank]: f(x, 2, dilation=2),
    )
    adaptive = {1: F.adaptive_avg_pool1d, 2: F.adaptive_avg_pool2d, 3: F.adaptive_avg_pool3d}[rank]
    case(
        f"adaptive_avg_pool{rank}d",
        {"x": (2, *size)},
        lambda x: gg.adaptive_avg_pool(x, 3),
        lambda x, f=adaptive: f(x, 3),
    )
for corners in (False, True):
    for size in ((12, 9), (5, 4)):
        case(
            f"upsample bilinear {size} align_corners={corners}",
            {"x": (2, 5, 6)},
            lambda x, s=size, c=corners: gg.upsample(x, size=s, mode="bilinear", align_corners=c),
            lambda x, s=size, c=corners: F.interpolate(x, s, mode="bilinear", align_corners=c),
        )
case("upsample nearest", {"x": (2, 5, 6)}, lambda x: gg.upsample(x, size=(7, 13)), lambda x: F.interpolate(x, (7, 13)))
for mode, theirs in {"reflect": "reflect", "edge": "replicate"}.items():
    case(
        f"pad {mode}",
        {"x": (2, 5, 6)},
        lambda x, m=mode: gg.pad(x, ((0, 0), (1, 2), (3, 0)), mode=m),
        lambda x, m=theirs: F.pad(x, (3, 0, 1, 2), mode=m),
    )

case(
    "layer_norm",
    {"x": (4, 3), "w": (3,)},
    lambda x, w: gg.layer_norm(x, w, 2 * w),
    lambda x, w: F.layer_norm(x, (3,), w, 2 * w),
)
case(
    "group_norm",
    {"x": (4, 3, 2), "w": (4,)},
    lambda x, w: gg.group_norm(x, 2, w, w),
    lambda x, w: F.group_norm(x, 2, w, w),
)
case("instance_norm", {"x": (4, 3, 2)}, gg.instance_norm, lambda x: F.instance_norm(x))
case(
    "batch_norm",
    {"x": (4, 3), "w": (4,)},
    lambda x, w: gg.batch_norm(x, scale=w, shift=w),
    lambda x, w: F.batch_norm(x, None, None, w, w, training=True),
)

LABELS = np.array([2, 0, 1])
WEIGHTS = [0.5, 2.0, 1.5]
for options in (
    {},
    {"weight": WEIGHTS},
    {"ignore_index": 0},
    {"label_smoothing": 0.2},
    {"weight": WEIGHTS, "ignore_index": 1, "label_smoothing": 0.1},
):
    case(
        f"cross_entropy_with_logits({options})",
        {"x": (3,)},
        lambda x, o=options: gg.cross_entropy_with_logits(x, gg.input("t"), **o),
        lambda x, o=options: F.cross_entropy(
            x,
            torch.tensor(LABELS),
            reduction="none",
            **{k: torch.tensor(v, dtype=x.dtype) if k == "weight" else v for k, v in o.items()},
        ),
    )
TARGETS = np.array([1.0, 0.0, 1.0])
case(
    "binary_cross_entropy_with_logits",
    {"x": ()},
    lambda x: gg.binary_cross_entropy_with_logits(x, gg.input("t")),
    lambda x: F.binary_cross_entropy_with_logits(x, torch.tensor(TARGETS), reduction="none"),
)
case(
    "binary_cross_entropy",
    {"x": ()},
    lambda x: gg.binary_cross_entropy(gg.sigmoid(x), gg.input("t")),
    lambda x: F.binary_cross_entropy(torch.sigmoid(x), torch.tensor(TARGETS), reduction="none"),
)
case(
    "huber",
    {"x": (4,), "w": (4,)},
    lambda x, w: gg.huber(x, w, delta=0.7),
    lambda x, w: F.huber_loss(x, w.expand(SAMPLES, 4), delta=0.7, reduction="none").sum(-1),
)
case(
    "multi_class_hinge",
    {"x": (3,)},
    lambda x: gg.multi_class_hinge(x, gg.input("t")),
    lambda x: F.multi_margin_loss(x, torch.tensor(LABELS), reduction="none"),
)
case(
    "embedding", {"w": (5, 4)}, lambda w: gg.embedding(w, gg.input("t")), lambda w: F.embedding(torch.tensor(LABELS), w)
)
case("matmul", {"x": (4, 3), "w": (3, 5)}, lambda x, w: x @ w, lambda x, w: x @ w)
case("matmul, batched", {"x": (2, 4, 3), "w": (2, 3, 5)}, lambda x, w: x @ w, lambda x, w: x @ w)


@pytest.mark.parametrize("target", ["numpy", "cpu"])
@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients_are_those_of_pytorch(name, target):
    shapes, ours, theirs = CASES[name]
    random = np.random.default_rng(1)
    arrays = {key: random.normal(size=((SAMPLES,) if key == "x" else ()) + shape) for key, shape in shapes.items()}
    with gg.Graph() as g:
        operands = [gg.input(key, *shape) if key == "x" else gg.param(key, *shape) for key, shape in shapes.items()]
        g.y = ours(*operands)
        u = gg.param("u", *g.y.shape)
        product = u * g.y
        g.s = gg.sum(product) if product.shape else product * 1
        g.J = gg.batch_sum(g.s) if g.s.per_sample else g.s
    weights = random.normal(size=g.y.shape)
    given = {**arrays, "u": weights}
    if any(leaf.name.ident == "t" for leaf in g.inputs):
        given["t"] = TARGETS if name.startswith("binary") else LABELS.astype(float)
    wrt = [node for node in operands if name.split("(")[0] not in ("floor", "ceil", "round", "sign")]
    result = gg.compile(g, ["J", "y"], wrt=wrt, target=target)(**given)
    tensors = {key: torch.tensor(array, requires_grad=True) for key, array in arrays.items()}
    value = theirs(*tensors.values())
    expected = value.detach().numpy()
    np.testing.assert_allclose(result["y"], expected, rtol=1e-9, atol=1e-12)
    if wrt:
        (value * torch.tensor(weights)).sum().backward()
        for key, tensor in tensors.items():
            rtol = 1e-6 if name.startswith(IN_SINGLE) else 1e-9
            np.testing.assert_allclose(result.grad[key], tensor.grad.numpy(), rtol=rtol, atol=1e-11)


def test_a_tie_goes_to_the_first_as_in_pytorch():
    image = np.zeros((1, 1, 4, 4))
    tensor = torch.tensor(image, requires_grad=True)
    F.max_pool2d(tensor, 2).sum().backward()
    with gg.Graph() as g:
        x = gg.input("x", 1, 4, 4)
        g.s = gg.sum(gg.max_pool(x, 2))
    np.testing.assert_array_equal(gg.compile(g, "s", wrt="x")(x=image).grad["x"], tensor.grad.numpy())
