"""Linear algebra: products of vectors and matrices, outer product, transpose."""

from __future__ import annotations

from dataclasses import dataclass

from graphgrad.graph import (
    ATOM,
    POWER,
    PRODUCT,
    Axis,
    Formula,
    Misfit,
    Node,
    NoGradient,
    Notation,
    Operand,
    Operation,
    Type,
    at,
    axes_of,
    extent,
    public,
)


@dataclass(frozen=True)
class MatMul(Operation):
    """The product of vectors and matrices."""

    name = "matmul"

    def infer(self, a: Type, b: Type) -> Type:
        for position, type in enumerate((a, b)):
            if type.rank not in (1, 2):
                raise Misfit(f"{{{position}}} is {_kind(type)}; a product @ takes vectors and matrices")
        if a.shape[-1] != b.shape[0]:
            takes, has = a.shape[-1], b.shape[0]
            left = f"{{0}} is {extent(a.shape)}" if a.rank == 2 else f"{{0}} has {takes} elements"
            right = f"{{1}} has {has}" if b.rank == 1 else f"{{1}} is {extent(b.shape)}"
            raise Misfit(f"{left} and takes {takes} rows, {right}")
        return Type(a.shape[:-1] + b.shape[1:], a.per_sample or b.per_sample)

    def notation(self, a: Type, b: Type) -> Notation:
        if a.rank == 1:
            return Notation(r"{0}^{\top} {1}", "{0}ᵀ~{1}", "{0} @ {1}", PRODUCT, (ATOM, POWER))
        return Notation("{0} {1}", "{0}~{1}", "{0} @ {1}", PRODUCT, (PRODUCT, POWER))

    def formula(self, a: Type, b: Type) -> Formula:
        rows = axes_of(a.shape[:-1], "i")
        columns = axes_of(b.shape[1:], "j")
        shared = Axis("k", a.shape[-1])
        return Formula(rows + columns, (at(*rows, shared), at(shared, *columns)), (shared,), "sum")

    def vjp(self, gradient: Node, output: Node, *inputs: Node) -> tuple[Node | NoGradient, ...]:
        a, b = inputs
        match a.type.rank, b.type.rank:
            case 1, 1:
                return gradient * b, gradient * a
            case 2, 1:
                return outer(gradient, b), a.T @ gradient
            case 1, 2:
                return b @ gradient, outer(a, gradient)
        return gradient @ b.T, a.T @ gradient


@dataclass(frozen=True)
class Outer(Operation):
    """The outer product of two vectors."""

    name = "outer"

    def infer(self, a: Type, b: Type) -> Type:
        for position, type in enumerate((a, b)):
            if type.rank != 1:
                raise Misfit(f"{{{position}}} is {_kind(type)}; an outer product takes two vectors")
        return Type(a.shape + b.shape, a.per_sample or b.per_sample)

    def notation(self, a: Type, b: Type) -> Notation:
        return Notation(r"{0} \, {1}^{\top}", "{0} {1}ᵀ", "outer({0}, {1})", PRODUCT, (PRODUCT, ATOM))

    def formula(self, a: Type, b: Type) -> Formula:
        axes = axes_of(a.shape + b.shape)
        return Formula(axes, (at(axes[0]), at(axes[1])))

    def vjp(self, gradient: Node, output: Node, *inputs: Node) -> tuple[Node | NoGradient, ...]:
        a, b = inputs
        return gradient @ b, a @ gradient


@dataclass(frozen=True)
class Transpose(Operation):
    """The transpose of a matrix."""

    name = "transpose"

    def infer(self, a: Type) -> Type:
        if a.rank != 2:
            raise Misfit(f"{{0}} is {_kind(a)}; a transpose takes a vector or a matrix")
        return Type(a.shape[::-1], a.per_sample)

    def notation(self, a: Type) -> Notation:
        return Notation(r"{0}^{\top}", "{0}ᵀ", "{0}.T", ATOM, (ATOM,))

    def formula(self, a: Type) -> Formula:
        axes = axes_of(a.shape[::-1])
        return Formula(axes, (at(*axes[::-1]),))

    def vjp(self, gradient: Node, output: Node, *inputs: Node) -> tuple[Node | NoGradient, ...]:
        return (gradient.T,)


def _kind(type: Type) -> str:
    return {0: "a scalar", 1: "a vector", 2: "a matrix"}.get(type.rank, f"an array of {type.rank} axes")


_matmul, _outer, _transpose = MatMul(), Outer(), Transpose()


@public
def matmul(a: Operand, b: Operand) -> Node:
    """`a @ b`: yᵢⱼ = Σₖ aᵢₖ bₖⱼ, for vectors and matrices; of two vectors it is the scalar aᵀb.

    Shapes: (m, k) @ (k, n) is (m, n); (m, k) @ (k,) is (m,); (k,) @ (k, n) is (n,); (k,) @ (k,) is ().
    Raises ShapeError where the inner extents differ. Source: Golub and Van Loan, Matrix Computations, 1.1.

    >>> import graphgrad as gg
    >>> with gg.Graph() as g:
    ...     x, W = gg.input("x", 2), gg.param("W", 3, 2)
    ...     g.A = W @ x
    >>> g.A.shape
    (3,)
    """
    return _matmul(a, b)


@public
def outer(a: Operand, b: Operand) -> Node:
    """The outer product a bᵀ of two vectors: yᵢⱼ = aᵢ bⱼ, of shape (m, n). Raises ShapeError for anything else."""
    return _outer(a, b)


@public
def transpose(a: Node) -> Node:
    """The transpose: yᵢⱼ = aⱼᵢ. A vector is its own transpose, as in NumPy: `w.T @ x` is the scalar wᵀx."""
    return a if a.type.rank == 1 else _transpose(a)
