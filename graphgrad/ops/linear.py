"""Linear algebra: products of vectors and matrices, outer product, transpose, Einstein's sums."""

from __future__ import annotations

import string
from dataclasses import dataclass

import numpy as np

from graphgrad.graph import (
    ATOM,
    POWER,
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
    extent,
    public,
    stretched,
    written,
)
from graphgrad.graph.node import clipped
from graphgrad.ops.contraction import Contracting, Contraction
from graphgrad.ops.reductions import sum_to
from graphgrad.ops.shape import Permute, checked_node, expand_dims, last_two_swapped, squeeze

LETTERS = string.ascii_letters
MOST_LETTERS = 11
"""How many loops there are inside each other, at most."""


@dataclass(frozen=True)
class MatMul(Operation):
    """The product of vectors and matrices, for each of those along leading axes."""

    name = "matmul"

    def infer(self, a: Type, b: Type) -> Type:
        for position, type in enumerate((a, b)):
            if type.rank == 0:
                raise Misfit(f"{{{position}}} is a scalar; a product @ takes vectors and matrices")
        if a.shape[-1] != b.shape[-2:][0]:
            takes, has = a.shape[-1], b.shape[0]
            left = f"{{0}} has {takes} elements" if a.rank == 1 else f"{{0}} is {extent(a.shape)}"
            right = f"{{1}} has {has}" if b.rank == 1 else f"{{1}} is {extent(b.shape)}"
            raise Misfit(f"{left} and takes {takes} rows, {right}")
        return Type(self._leading(a, b) + a.shape[-2:-1] + b.shape[-2:][1:], a.per_sample or b.per_sample)

    def _leading(self, a: Type, b: Type) -> tuple[int, ...]:
        try:
            return np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
        except ValueError:
            raise Misfit(
                f"{{0}} is {a} and {{1}} is {b}, whose leading axes cannot be broadcast to one shape"
            ) from None

    def notation(self, a: Type, b: Type) -> Notation:
        if a.rank == 1:
            return Notation(r"{0}^{\top} {1}", "{0}ᵀ~{1}", "{0} @ {1}", PRODUCT, (ATOM, POWER))
        return Notation("{0} {1}", "{0}~{1}", "{0} @ {1}", PRODUCT, (PRODUCT, POWER))

    def formula(self, a: Type, b: Type) -> Formula:
        every = axes_of(self._leading(a, b), "bcdefg")
        rows = axes_of(a.shape[-2:-1], "i")
        columns = axes_of(b.shape[-2:][1:], "j")
        shared = Axis("k", a.shape[-1])
        left, right = (stretched(every, t.shape[:-2]) for t in (a, b))
        reads = ((*left, *at(*rows, shared)), (*right, *at(shared, *columns)))
        return Formula(every + rows + columns, reads, (shared,), "sum")

    def vjp(self, gradient: Node, output: Node, *inputs: Node) -> tuple[Node | NoGradient, ...]:
        a, b = inputs
        match a.type.rank, b.type.rank:
            case 1, 1:
                return gradient * b, gradient * a
            case 2, 1:
                return outer(gradient, b), a.T @ gradient
            case 1, 2:
                return b @ gradient, outer(a, gradient)
            case 2, 2:
                return gradient @ b.T, a.T @ gradient
        rows, columns = a, b
        if a.type.rank == 1:
            rows, gradient = expand_dims(a, 0), expand_dims(gradient, -2)
        if b.type.rank == 1:
            columns, gradient = expand_dims(b, 1), expand_dims(gradient, -1)
        of_rows = sum_to(gradient @ _transposed(columns), rows.shape)
        of_columns = sum_to(_transposed(rows) @ gradient, columns.shape)
        return (
            of_rows if rows is a else squeeze(of_rows, 0),
            of_columns if columns is b else squeeze(of_columns, 1),
        )


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


def _transposed(a: Node) -> Node:
    """The matrices along the last two axes, transposed."""
    return a.T if a.type.rank == 2 else Permute(last_two_swapped(a.type.rank))(a)


def _kind(type: Type) -> str:
    return {0: "a scalar", 1: "a vector", 2: "a matrix"}.get(type.rank, f"an array of {type.rank} axes")


@dataclass(frozen=True)
class Einsum(Contracting, Operation):
    """A sum of products by the letters of its axes, such as `ij,jk->ik`."""

    letters: str
    name = "einsum"

    @property
    def parts(self) -> tuple[list[str], str]:
        """The letters of each operand, and those of the result."""
        left, _, right = self.letters.partition("->")
        return left.split(","), right

    def extents(self, *types: Type) -> dict[str, int]:
        """The extent of each letter, in the order in which they come; raises Misfit where operands differ in one."""
        operands, _ = self.parts
        if len(types) != len(operands):
            raise Misfit(f"{self.letters} is for {len(operands)} operands, and there are {len(types)}")
        found: dict[str, int] = {}
        for position, (letters, type) in enumerate(zip(operands, types, strict=True)):
            if len(letters) != type.rank:
                raise Misfit(
                    f"{{{position}}} is {type} and has {type.rank} axes, {letters or 'nothing'} names {len(letters)}"
                )
            for letter, own in zip(letters, type.shape, strict=True):
                if found.setdefault(letter, own) != own:
                    raise Misfit(f"{letter} is {found[letter]} elsewhere, and {own} in {{{position}}}, which is {type}")
        return found

    def infer(self, *types: Type) -> Type:
        extents = self.extents(*types)
        return Type(tuple(extents[letter] for letter in self.parts[1]), any(type.per_sample for type in types))

    def notation(self, *types: Type) -> Notation:
        operands, result = self.parts
        over = "".join(dict.fromkeys(letter for letter in "".join(operands) if letter not in result))
        latex = [f"{{{{{k}}}}}_{{{letters}}}" if letters else f"{{{k}}}" for k, letters in enumerate(operands)]
        unicode = [f"{{{k}}}[{letters}]" if letters else f"{{{k}}}" for k, letters in enumerate(operands)]
        return Notation(
            (rf"\sum_{{{over}}} " * bool(over)) + r" \, ".join(latex),
            f"Σ_{over} " * bool(over) + " ".join(unicode),
            f'einsum("{self.letters}", {{*}})',
            SUM if over else PRODUCT,
            (ATOM,) * len(operands),
        )

    def contraction(self, *types: Type) -> Contraction:
        """The sum over the letters that the result has not."""
        axes = {letter: Axis(letter, extent) for letter, extent in self.extents(*types).items()}
        operands, result = self.parts
        over = tuple(axis for letter, axis in axes.items() if letter not in result)
        reads = tuple(at(*(axes[letter] for letter in letters)) for letters in operands)
        return Contraction(self.name, tuple(axes[letter] for letter in result), over, reads)


_matmul, _outer, _transpose = MatMul(), Outer(), Transpose()


@public
def matmul(a: Operand, b: Operand) -> Node:
    """`a @ b`: yᵢⱼ = Σₖ aᵢₖ bₖⱼ, for vectors and matrices; of two vectors it is the scalar aᵀb.

    Shapes: (m, k) @ (k, n) is (m, n); (m, k) @ (k,) is (m,); (k,) @ (k, n) is (n,); (k,) @ (k,) is (). Of arrays with
    more axes, the last two are those of matrices, and the axes before them are broadcast, as in NumPy.
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
    """The outer product a bᵀ of two vectors: yᵢⱼ = aᵢ bⱼ, of shape (m, n). Raises ShapeError for anything else.

    Source: Golub and Van Loan, Matrix Computations, 1.1.

    >>> import graphgrad as gg
    >>> with gg.Graph() as g:
    ...     a, b = gg.input("a", 2), gg.input("b", 3)
    ...     g.A = gg.outer(a, b)
    >>> print(g.A.text(), g.A.shape)
    A = a bᵀ (2, 3)
    """
    return _outer(a, b)


@public
def dot(a: Node, b: Node) -> Node:
    """The scalar product of two vectors, aᵀb = Σₖ aₖ bₖ. Raises ShapeError where they differ in length.

    Anything but vectors is a GraphError: NumPy's `dot` has other rules for more axes, `matmul` and `einsum` say which.
    Source: Golub and Van Loan, Matrix Computations, 1.1.

    >>> import graphgrad as gg
    >>> with gg.Graph() as g:
    ...     a, b = gg.input("a", 3), gg.input("b", 3)
    ...     g.E = gg.dot(a, b)
    >>> print(g.E.text())
    E = aᵀb
    """
    for operand in (a, b):
        if checked_node(operand, "dot").type.rank != 1:
            raise GraphError(
                f"dot: {written(operand)} is {_kind(operand.type)}; a scalar product is one of two vectors"
            )
    return _matmul(a, b)


@public
def einsum(letters: str, *operands: Operand) -> Node:
    """Einstein's sum: axes with one letter run together, and those that the result has not are summed over.

    `einsum("ij,jk->ik", A, B)` is A @ B, "ii->" the trace, "ij->ji" the transpose. The result is always stated; a letter
    that comes twice in one operand takes the diagonal; there is no ellipsis. At most 11 letters.

    Raises GraphError for letters that are none, ShapeError where they do not fit the operands.
    Source: Einstein, 1916; NumPy's `einsum`.

    >>> import graphgrad as gg
    >>> with gg.Graph() as g:
    ...     A, x = gg.input("A", 4, 3), gg.input("x", 3)
    ...     g.y = gg.einsum("ij,j,j->i", A, x, x)
    >>> print(g.y.text(), g.y.shape)
    y = Σ_j A[ij] x[j] x[j] (4,)
    """
    given = "".join(letters.split()) if isinstance(letters, str) else ""
    left, arrow, right = given.partition("->")
    if not arrow or not set(left) <= {*LETTERS, ","} or not set(right) <= set(left) - {","}:
        raise GraphError(
            f"einsum: {clipped(repr(letters))} is no sum; letters for each operand, a comma between them, then those of "
            'the result after an arrow: "ij,jk->ik"'
        )
    if len(set(right)) < len(right):
        raise GraphError(f"einsum: {given} names an axis of the result twice")
    if len(set(left) - {","}) > MOST_LETTERS:
        raise GraphError(f"einsum: {given} has more than {MOST_LETTERS} letters")
    return Einsum(given)(*operands)


@public
def transpose(a: Node) -> Node:
    """The transpose: yᵢⱼ = aⱼᵢ. A vector is its own transpose, as in NumPy: `w.T @ x` is the scalar wᵀx.

    Source: Golub and Van Loan, Matrix Computations, 1.1.

    >>> import graphgrad as gg
    >>> with gg.Graph() as g:
    ...     W = gg.param("W", 3, 2)
    ...     g.A = W.T
    >>> g.A.shape
    (2, 3)
    """
    return a if a.type.rank == 1 else _transpose(a)
