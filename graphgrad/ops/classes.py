"""Losses against K classes: cross entropy on probabilities and on scores, hinge, Kullback-Leibler, dice.

The classes lie along the first axis of a sample, (K,) for a classifier and (K, H, W) for a segmentation, as PyTorch has
it after the batch; a target is the number of its class, of the shape without that axis, or a probability for each class,
of the whole shape. The shapes tell which.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from graphgrad.graph import (
    FUNCTIONS,
    PRODUCT,
    SUM,
    Axis,
    Formula,
    GraphError,
    Misfit,
    Node,
    NoGradient,
    Notation,
    Operand,
    Operation,
    Type,
    at,
    axes_of,
    function,
    number,
    public,
)
from graphgrad.graph.domain import Domain
from graphgrad.graph.node import clipped, constant_in
from graphgrad.ops.arithmetic import negative
from graphgrad.ops.elementwise import At, Elementwise, internal, times
from graphgrad.ops.losses import THIN, ZERO_TO_ONE, ln
from graphgrad.ops.options import in_range
from graphgrad.ops.reductions import Reduce, broadcast_to
from graphgrad.ops.softmax import log_softmax, softmax
from graphgrad.ops.symbolic import sp, where

MOST_CLASSES = 4096
"""How many classes may have a weight written as a number each."""

log_probability: Elementwise = Elementwise(
    "log_probability",
    lambda p: ln(p),
    lambda y, p: over_probability(1, p),
    Notation(r"\ln {0}", "ln {0}", "log({0})", PRODUCT, (PRODUCT,)),
    (),
    True,
)
"""ln p, no less than -100."""

over_probability: Elementwise = Elementwise(
    "over_probability",
    lambda a, p: where(p <= THIN, a / THIN, a / p),
    lambda y, a, p: (over_probability(1, p), -over_probability(y, p)),
    Notation(r"\frac{{0}}{{1}}", "{0} / {1}", "{0} / {1}", PRODUCT, (PRODUCT, PRODUCT), (SUM, SUM)),
    (),
    True,
)
"""a / p, with p no less than 1e-36: the gradient of ln p."""

_share_of_log = Elementwise(
    "share_of_log",
    lambda q, logarithm: where(sp.Eq(q, 0), 0, q * logarithm),
    lambda y, q, logarithm: (logarithm, q),
    Notation(r"{0} \odot {1}", "{0} ⊙ {1}", "{0} * {1}", PRODUCT, (PRODUCT, PRODUCT)),
    (),
    True,
)
"""q ln p, and 0 where q is 0, however unlikely p is."""


# -- targets -------------------------------------------------------------------------------------------------------


def _probability(t: Any, k: Any, last: Any, asked: Any, share: Any) -> Any:
    valid = sp.And(t >= 0, t <= last, sp.Eq(t, sp.floor(t)))
    return where(sp.Eq(t, k), asked, where(valid, share, sp.nan))


_OF_LABEL = At(internal("of_label", _probability))
_OF_LABEL_KEPT = At(
    internal(
        "of_label_kept",
        lambda t, k, last, asked, share, ignored: where(sp.Eq(t, ignored), 0, _probability(t, k, last, asked, share)),
    )
)


@dataclass(frozen=True)
class LabelTargets(Operation):
    """The probabilities that a label asks for: `1 - smoothing` for its class, and `smoothing` shared out among all.

    They are 0 for the ignored label, and NaN for what is no label.
    """

    classes: int
    smoothing: float = 0.0
    ignored: int | None = None
    name = "label_targets"

    def infer(self, t: Type) -> Type:
        return Type((self.classes, *t.shape), t.per_sample)

    def notation(self, t: Type) -> Notation:
        return Notation(r"\mathbf{1}_{{0}}", "𝟏[{0}]", "one_hot({0})")

    def formula(self, t: Type) -> Formula:
        each, places = Axis("k", self.classes), axes_of(t.shape)
        share = self.smoothing / self.classes
        numbers = self.classes - 1, 1 - self.smoothing + share, share
        body = replace(_OF_LABEL, numbers=numbers)
        if self.ignored is not None:
            body = replace(_OF_LABEL_KEPT, numbers=(*numbers, self.ignored))
        return Formula((each, *places), (at(*places),), body=body, values=(each,))

    def vjp(self, gradient: Node, output: Node, *inputs: Node) -> tuple[Node | NoGradient, ...]:
        return (NoGradient("a label names a class and cannot be moved a little"),)


@dataclass(frozen=True)
class ClassWeights(Operation):
    """A number for each class, times what all of them have in common."""

    weights: tuple[float, ...]
    name = "class_weights"

    def infer(self, a: Type) -> Type:
        if a.rank:
            raise Misfit(f"{{0}} is {a}; weights of classes multiply a scalar")
        return Type((len(self.weights),), a.per_sample)

    def formula(self, a: Type) -> Formula:
        each = Axis("k", len(self.weights))
        return Formula((each,), ((),), weights=((at(each)[0], self.weights),))

    def vjp(self, gradient: Node, output: Node, *inputs: Node) -> tuple[Node | NoGradient, ...]:
        return (Reduce("sum")(gradient * self(constant_in(gradient.graph, 1.0, self.name))),)


def labelled(scores: Type, t: Type) -> bool:
    """Whether targets are labels, by their shape; raises Misfit where they are neither labels nor one number a class."""
    if not scores.rank or scores.shape[0] < 2:
        told = "is a scalar" if not scores.rank else "has one class"
        raise Misfit(
            f"{{0}} {told}, and K classes have K numbers along the first axis; two classes told apart by one number "
            "have binary_cross_entropy"
        )
    if t.shape in (scores.shape, scores.shape[1:]):
        return t.shape != scores.shape
    raise Misfit(
        f"{{0}} is {scores}, which is {scores.shape[0]} classes, and {{1}} is {t}: targets are labels of shape "
        f"{scores.shape[1:]} or a number for each class, of shape {scores.shape}"
    )


def _target_domain(scores: Type, t: Type, ignored: int | None = None) -> Domain:
    if not labelled(scores, t):
        return ZERO_TO_ONE
    most = scores.shape[0] - 1
    what = f"labels of {most + 1} classes, 0 to {most}"
    also = None if ignored is None else float(ignored)
    return Domain(what, 0.0, float(most), whole=True, also=also, instead="labels that count from 1 are {0} - 1")


def _asked(scores: Node, t: Node) -> Node:
    """A probability for each class, as the targets ask."""
    return LabelTargets(scores.shape[0])(t) if labelled(scores.type, t.type) else t


@dataclass(frozen=True)
class OfClasses(Operation):
    """A loss of K classes without further options, from its expansion."""

    name: str

    def infer(self, scores: Type, t: Type) -> Type:
        labelled(scores, t)
        return Type(scores.shape[1:], scores.per_sample or t.per_sample)

    def domains(self, *types: Type) -> tuple[Domain | None, ...]:
        scores, t = types
        return None, _target_domain(scores, t)

    @property
    def unfolds(self) -> bool:
        return True

    def expand(self, *inputs: Node) -> Node:
        scores, t = inputs
        with scores.graph.derivation():
            return _EXPANSIONS[self.name](scores, _asked(scores, t))


def _hinged(z: Node, q: Node) -> Node:
    """Σₖ max(0, 1 - z_t + z_k) / K over the classes k other than t, for which 1 - q is 1."""
    of_target = Reduce("sum", 0)(z * q)
    return Reduce("sum", 0)(FUNCTIONS["relu"]((z - of_target) + (1 - q))) / z.shape[0]


def _diverged(p: Node, q: Node) -> Node:
    return Reduce("sum", 0)(_share_of_log(q, log_probability(q) - log_probability(p)))


_EXPANSIONS: dict[str, Callable[[Node, Node], Node]] = {"multi_class_hinge": _hinged, "kl_divergence": _diverged}


# -- cross entropy -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CrossEntropy(Operation):
    """K-class cross entropy on probabilities or, by its name, on scores; the weights of classes may be an operand."""

    name: str
    weight: tuple[float, ...] | None = None
    ignore_index: int | None = None
    label_smoothing: float = 0.0

    @property
    def of_scores(self) -> bool:
        return self.name.endswith("with_logits")

    def infer(self, scores: Type, t: Type, weight: Type | None = None) -> Type:
        labels = labelled(scores, t)
        if self.ignore_index is not None and not labels:
            raise Misfit(
                f"{{1}} is {t}, a probability for each class, and ignore_index={self.ignore_index} is a label: "
                "what has no class is given probabilities of 0"
            )
        count = (len(self.weight),) if self.weight is not None else weight.shape if weight is not None else None
        if count not in (None, scores.shape[:1]):
            given = f"{len(self.weight)} weights" if self.weight is not None else f"weights {{2}} of shape {weight}"
            raise Misfit(f"{{0}} has {scores.shape[0]} classes and there are {given}: each class has one")
        return Type(scores.shape[1:], any(type.per_sample for type in (scores, t, weight) if type is not None))

    def domains(self, *types: Type) -> tuple[Domain | None, ...]:
        return None, _target_domain(types[0], types[1], self.ignore_index)

    def options(self) -> str:
        given = {"weight": self.weight, "ignore_index": self.ignore_index}
        shown = [f"{option}={value!r}" for option, value in given.items() if value is not None]
        shown += [f"label_smoothing={number(self.label_smoothing)}"] * (self.label_smoothing > 0)
        return ", ".join(shown)

    def notation(self, *types: Type) -> Notation:
        weighted = ", weight={2}" if len(types) > 2 else ""
        text = f"{self.name}({{0}}, {{1}}{weighted}{', ' * bool(self.options())}{self.options()})"
        scores, t = types[:2]
        if weighted or self.options() or scores.rank != 1 or t.rank > 1:
            plain = function(self.name)
            return Notation(plain.latex, plain.unicode, text)
        latex, unicode = ("{0}", "{0}")
        if self.of_scores:
            latex, unicode = (r"\operatorname{softmax}\left({0}\right)", "softmax({0})")
        if not t.rank:
            return Notation(rf"-\ln {{{latex}}}_{{{{1}}}}", f"−ln {unicode}[{{1}}]", text, PRODUCT, (PRODUCT, SUM))
        return Notation(rf"-{{1}}^{{\top}} \ln {latex}", f"−{{1}}ᵀ ln {unicode}", text, PRODUCT, (PRODUCT, PRODUCT))

    def expand(self, *inputs: Node) -> Node:
        with inputs[0].graph.derivation():
            return -Reduce("sum", 0)(_share_of_log(self._shares(*inputs), self._logarithm(inputs[0])))

    def _logarithm(self, scores: Node) -> Node:
        return log_softmax(scores, axis=0) if self.of_scores else log_probability(scores)

    def _smoothed(self, scores: Node, t: Node) -> Node:
        classes, smoothing = scores.shape[0], self.label_smoothing
        if labelled(scores.type, t.type):
            return LabelTargets(classes, smoothing, self.ignore_index)(t)
        return (1 - smoothing) * t + smoothing / classes if smoothing else t

    def _weighted(self, a: Node, weight: tuple[Node, ...]) -> Node:
        """What belongs to the classes, times the weight of each."""
        if self.weight is not None:
            weight = (ClassWeights(self.weight)(constant_in(a.graph, 1.0, self.name)),)
        return a * broadcast_to(weight[0], a.shape, tuple(range(1, a.type.rank))) if weight else a

    def _shares(self, scores: Node, t: Node, *weight: Node) -> Node:
        """How much the logarithm of each class counts: the smoothed target times the weight of the class."""
        return self._weighted(self._smoothed(scores, t), weight)

    def vjp(self, gradient: Node, output: Node, *inputs: Node) -> tuple[Node | NoGradient, ...]:
        scores, t, *weight = inputs
        shares, logarithm = self._shares(*inputs), self._logarithm(scores)
        if not self.of_scores:
            to_scores = over_probability(times(gradient, negative(shares)), scores)
        else:
            to_scores = times(gradient, self._expected(scores, t, shares) - shares)
        to_target: Node | NoGradient = NoGradient("a label names a class and cannot be moved a little")
        if not labelled(scores.type, t.type):
            to_target = times(gradient, (1 - self.label_smoothing) * self._weighted(negative(logarithm), tuple(weight)))
        places = tuple(range(1, scores.type.rank))
        to_weight = [gradient * negative(_share_of_log(self._smoothed(scores, t), logarithm)) for _ in weight]
        return to_scores, to_target, *(Reduce("sum", places)(each) if places else each for each in to_weight)

    def _expected(self, scores: Node, t: Node, shares: Node) -> Node:
        """softmax(z), as often as there are shares: once where each target is a label that counts in full."""
        p = softmax(scores, axis=0)
        once = shares.op == LabelTargets(scores.shape[0], self.label_smoothing)
        return p if once else p * Reduce("sum", 0)(shares)


def _cross_entropy(
    name: str, scores: Operand, t: Operand, weight: Any, ignore_index: Any, label_smoothing: Any
) -> Node:
    smoothing = in_range(name, "label_smoothing", label_smoothing, 0.0, 1.0, "[)")
    if ignore_index is not None and (isinstance(ignore_index, bool) or not isinstance(ignore_index, int)):
        raise GraphError(f"{name}: ignore_index is {clipped(repr(ignore_index))}; a label is a whole number")
    if weight is None or isinstance(weight, Node):
        return CrossEntropy(name, None, ignore_index, smoothing)(scores, t, *([] if weight is None else [weight]))
    if not isinstance(weight, Sequence) or isinstance(weight, str):
        raise GraphError(f"{name}: weight is {clipped(repr(weight))}; it is a number for each class, or a node of them")
    numbers = tuple(in_range(name, "a weight", one, 0.0, float("inf"), "[)") for one in weight)
    return CrossEntropy(name, numbers, ignore_index, smoothing)(scores, t)


@public
def cross_entropy(
    p: Node,
    t: Operand,
    weight: Node | Sequence[float] | None = None,
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
) -> Node:
    """The cross entropy of K classes on probabilities, l = -Σₖ wₖ qₖ ln pₖ, along the first axis of p.

    p               (K, *S): the output of a softmax over the first axis.
    t               (*S): labels 0 to K-1, qₖ = 1 for k = t and 0 elsewhere; or (K, *S): probabilities, q = t.
    weight          wₖ, a number for each class or a node of shape (K,); 1 where there is none.
    ignore_index    the label of places that have no class: their loss and its gradient are 0.
    label_smoothing ε: q becomes (1 - ε) q + ε/K.

    The loss has the shape S, one for each place, and no mean is taken: PyTorch's mean over a weighted batch divides by
    the sum of the weights, batch_mean by the number of samples. The logarithm is no less than -100, so that the loss is
    finite for every finite p; of p = softmax(z) it is computed from z, and then ∂l/∂z is softmax(z) - q.

    Raises ShapeError where t or weight do not fit p, GraphError for ε outside [0, 1), DataError for a target out of range.
    Source: the lecture; Goodfellow, Bengio and Courville, Deep Learning, 6.2.2.3; smoothing: Szegedy et al., 2016.

    >>> import graphgrad as gg
    >>> with gg.Graph() as g:
    ...     p, t = gg.input("p", 3), gg.input("t")
    ...     g.l = gg.cross_entropy(p, t)
    >>> f = gg.compile(g, "l", wrt="p", target="numpy")
    >>> r = f(p=[0.25, 0.5, 0.25], t=1)
    >>> round(float(r["l"]), 4), r.grad["p"].tolist()
    (0.6931, [-0.0, -2.0, -0.0])
    """
    return _cross_entropy("cross_entropy", p, t, weight, ignore_index, label_smoothing)


@public
def cross_entropy_with_logits(
    z: Node,
    t: Operand,
    weight: Node | Sequence[float] | None = None,
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
) -> Node:
    """The cross entropy of K classes on scores, l = -Σₖ wₖ qₖ ln softmax(z)ₖ, along the first axis of z.

    Shapes and options are those of `cross_entropy`. Exact and finite for all finite scores; ∂l/∂z = softmax(z) - q for
    labels. Source: PyTorch's CrossEntropyLoss with reduction="none" (a batch axis comes before the classes there).

    >>> import graphgrad as gg
    >>> with gg.Graph() as g:
    ...     z, t = gg.input("z", 3), gg.input("t")
    ...     g.l = gg.cross_entropy_with_logits(z, t)
    >>> r = gg.compile(g, "l", wrt="z", target="numpy")(z=[0.0, 0.0, 1000.0], t=1)
    >>> float(r["l"]), r.grad["z"].tolist()
    (1000.0, [0.0, -1.0, 1.0])
    """
    return _cross_entropy("cross_entropy_with_logits", z, t, weight, ignore_index, label_smoothing)


# -- other losses of K classes -------------------------------------------------------------------------------------


@public
def multi_class_hinge(z: Node, t: Operand) -> Node:
    """The hinge loss of K classes, l = (1/K) Σₖ max(0, 1 - z_t + zₖ) over the classes k other than t.

    z is (K, *S); t are labels (*S) or one-hot (K, *S); the loss has the shape S. The sum is divided by K, as PyTorch's
    MultiMarginLoss does (Crammer and Singer's form takes the largest term instead). At its kinks the gradient is 0.

    Raises ShapeError where t does not fit z, DataError for a label out of range.
    Source: Weston and Watkins, Support vector machines for multi-class pattern recognition, 1999.

    >>> import graphgrad as gg
    >>> with gg.Graph() as g:
    ...     z, t = gg.input("z", 4), gg.input("t")
    ...     g.l = gg.multi_class_hinge(z, t)
    >>> float(gg.compile(g, "l", target="numpy")(z=[0.5, 2.0, 1.5, -1.0], t=1)["l"])
    0.125
    """
    return OfClasses("multi_class_hinge")(z, t)


@public
def kl_divergence(p: Node, t: Operand) -> Node:
    """The divergence of p from the target distribution t, l = Σₖ tₖ ln(tₖ / pₖ), along the first axis; 0 where p = t.

    p and t are (K, *S), the loss (*S); labels (*S) are one-hot distributions. Terms with tₖ = 0 are 0, and logarithms no
    less than -100. In the order of PyTorch's KLDivLoss, which takes ln p; of p = softmax(z) that is computed from z.

    Raises ShapeError where t does not fit p, DataError for a target that is no probability.
    Source: Kullback and Leibler, On information and sufficiency, 1951.

    >>> import graphgrad as gg
    >>> with gg.Graph() as g:
    ...     p, t = gg.input("p", 2), gg.input("t", 2)
    ...     g.l = gg.kl_divergence(p, t)
    >>> round(float(gg.compile(g, "l", target="numpy")(p=[0.5, 0.5], t=[1.0, 0.0])["l"]), 4)
    0.6931
    """
    return OfClasses("kl_divergence")(p, t)


@dataclass(frozen=True)
class Dice(Operation):
    """One minus the share of what prediction and target have in common, over all places or class by class."""

    smooth: float = 1.0
    per_class: bool = False
    name = "dice"

    def infer(self, p: Type, t: Type) -> Type:
        if t.shape != p.shape:
            labelled(p, t)
        elif self.per_class and not p.rank:
            raise Misfit("{0} is a scalar; class by class asks for an array with the classes along its first axis")
        return Type((), p.per_sample or t.per_sample)

    def domains(self, *types: Type) -> tuple[Domain | None, ...]:
        p, t = types
        return None, ZERO_TO_ONE if t.shape == p.shape else _target_domain(p, t)

    def options(self) -> str:
        return ", ".join([f"smooth={number(self.smooth)}"] * (self.smooth != 1) + ["per_class=True"] * self.per_class)

    @property
    def unfolds(self) -> bool:
        return True

    def expand(self, *inputs: Node) -> Node:
        p, t = inputs
        with p.graph.derivation():
            q = t if t.shape == p.shape else _asked(p, t)
            places = Reduce("sum", tuple(range(1, p.type.rank)) if self.per_class else None)
            overlap, size = places(p * q), places(p) + places(q)
            share = (2 * overlap + self.smooth) / (size + self.smooth)
            return 1 - (Reduce("mean")(share) if share.shape else share)


@public
def dice(p: Node, t: Operand, smooth: float = 1.0, per_class: bool = False) -> Node:
    """The soft Dice loss of a segmentation, l = 1 - (2 Σ p t + s) / (Σ p + Σ t + s), a scalar for each sample.

    p and t have one shape, and the sums go over all their elements; `per_class` takes them for each class along the first
    axis, and the mean of the K losses. With p (K, *S), t may also be labels (*S). `smooth` is s: it keeps the loss at 0
    where both are empty.

    Raises ShapeError where t does not fit p, GraphError unless s is above 0, DataError for a target out of range.
    Source: Milletari, Navab and Ahmadi, V-Net, 2016; the sums in the denominator are plain, as in Sudre et al., 2017.

    >>> import graphgrad as gg
    >>> with gg.Graph() as g:
    ...     p, t = gg.input("p", 4), gg.input("t", 4)
    ...     g.l = gg.dice(p, t)
    >>> float(gg.compile(g, "l", target="numpy")(p=[1.0, 1.0, 0.0, 0.0], t=[1.0, 0.0, 0.0, 0.0])["l"])
    0.25
    """
    return Dice(in_range("dice", "smooth", smooth, 0.0, float("inf"), "()"), bool(per_class))(p, t)


__all__ = ["cross_entropy", "cross_entropy_with_logits", "dice", "kl_divergence", "multi_class_hinge"]
