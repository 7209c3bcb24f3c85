"""Loops: the one description of a step that the CPU and CUDA printers print.

Statements hold scalar source text; what differs between targets is only how the loops run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class Comment:
    """The formula of the node that the next lines compute; told when it is printed."""

    told: Callable[[], str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Let:
    """A local scalar: `name = text`."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Combine:
    """A local scalar takes one more term: `name += text`, or the larger, the smaller, the product.

    For "argmax" it becomes `position` where the text is larger than the largest so far, kept in `name_best`.
    On lanes each takes its own.
    """

    name: str
    reduction: Literal["sum", "max", "min", "prod", "argmax"]
    text: str
    position: str = ""


@dataclass(frozen=True, slots=True)
class Store:
    """An element of an array is set, or added to."""

    array: str
    index: tuple[str, ...]
    text: str
    add: bool = False


@dataclass(frozen=True, slots=True)
class Product:
    """A product of matrices over all samples at once: `out = left @ right`, or `keep * out + scale * left @ right`.

    On the CPU it has `room` for parts of the matrices.
    """

    out: str
    left: str
    right: str
    scale: str = ""
    keep: str = ""
    room: str = ""


@dataclass(frozen=True, slots=True)
class Tiled:
    """A sum of products by the function that is stated for it at the head: of the result and its operands.

    These are the factors, and what it begins with if that is not 0; or the factors, the winners and the room that a
    `SumOfWinners` takes. It computes a few rows of the result, from `first`
    on, where it is part of a band.
    """

    function: str
    out: str
    operands: Sequence[str]
    adds: bool
    first: str = ""


@dataclass(frozen=True, slots=True)
class SumOfProducts:
    """What a `Tiled` computes, as a line of indices: axes with their extents, those of the tile, limits of the others,
    and without lanes of samples the one along which a row is computed at once."""

    function: str
    text: str
    extents: Mapping[str, int]
    tile: Mapping[str, int]
    within: Mapping[str, tuple[str, str]]
    at_once: str = ""


@dataclass(frozen=True, slots=True)
class Loop:
    """Repeat for an index from 0 below its extent, or from `start` on, below `stop`, in steps."""

    axis: str
    extent: int | None
    body: list[Statement] = field(default_factory=list)
    start: str = "0"
    stop: str = ""
    step: int = 1


@dataclass(frozen=True, slots=True)
class Divided:
    """Loops that are divided among the threads, after the numbers that all turns read: the first one among those of a team,
    the turns of so many loops inside of each other among those of a grid."""

    scalars: Sequence[Let]
    loop: Loop
    loops: int = 1


@dataclass(frozen=True, slots=True)
class AddUp:
    """The threads of a grid bring together what each has added up: an array is the sum of so many first parts."""

    out: str
    parts: str
    count: str


@dataclass(frozen=True, slots=True)
class SumOfWinners:
    """A `Tiled` that goes over the winners of windows: the test for them, the sums that stay in registers, and the room
    that it takes, in numbers of a sample."""

    function: str
    text: str
    extents: Mapping[str, int]
    where: str
    registers: int
    lanes: int
    room: int


@dataclass(frozen=True, slots=True)
class Repeat:
    """Statements that run so many times, as for layers that are alike: each time on other arrays, by their roles."""

    times: int
    roles: Sequence[Role]
    body: Sequence[Statement]


@dataclass(frozen=True, slots=True)
class EachSample:
    """Statements once for each sample, or for each of a thread's share of them."""

    body: Sequence[Statement]


@dataclass(frozen=True, slots=True)
class Alone:
    """What the first thread of a team does alone."""

    body: list[Statement]


@dataclass(frozen=True, slots=True)
class Meet:
    """The threads of a team wait for each other; at the end of a step they may share its products `anew`."""

    anew: bool = False


@dataclass(frozen=True, slots=True)
class Together:
    """Sums that each thread has its own of, as parts of the totals (from, to), go into those of the first thread."""

    sums: Sequence[tuple[int, int]]
    shared: bool


@dataclass(frozen=True, slots=True)
class Unless:
    """The step ends where its loss is no number: that changes no parameter."""

    loss: str


@dataclass(frozen=True, slots=True)
class Argument:
    """An array that the caller passes: a leaf of the graph, by its identifier in the code."""

    name: str
    shape: tuple[int, ...]
    per_sample: bool


Zone = Literal["kept", "shared", "each", "total", "own"]


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the step's memory: a value, by the number of its instruction in the program (None for a leaf's).

    Its zone is "kept" from step to step, in the array of the parameters; or it is "shared" by all samples; or holds "each" sample, from `offset` numbers a sample on; or is a thread's:
    its "own" working space, or in its part of the "total" over the samples, which ends up in that of the first thread.
    What is `lanes` has a number for each of the samples that are computed at once. A `leaf` is called so in the graph.
    """

    name: str
    instruction: int | None
    zone: Zone
    offset: int
    shape: tuple[int, ...]
    lanes: bool = False
    leaf: str = ""


@dataclass(frozen=True, slots=True)
class Role:
    """What the statements of a `Repeat` call an array that is another one each time, or its view by elements in order."""

    name: str
    arrays: Sequence[Section | Argument]
    is_flat: bool = False


@dataclass(frozen=True, slots=True)
class Flat:
    """Another view of an array, by its elements in order."""

    name: str
    of: str


@dataclass(frozen=True, slots=True)
class Given:
    """An input whose samples are brought into lanes, block by block."""

    argument: str
    lanes: str


@dataclass(frozen=True, slots=True)
class Samples:
    """Once for each sample, or for each block of them on lanes; the threads share them.

    `sums` is the part of the totals (from, to) to which this pass adds up, on lanes by way of the array `partial`, where
    so many of the last are `plain` numbers.
    """

    body: Sequence[Statement]
    given: Sequence[Given] = ()
    sums: tuple[int, int] = (0, 0)
    partial: int = 0
    plain: int = 0


Statement = (
    Comment
    | Let
    | Combine
    | Store
    | Product
    | Tiled
    | Loop
    | Divided
    | AddUp
    | Repeat
    | EachSample
    | Alone
    | Meet
    | Together
    | Unless
    | Samples
)


@dataclass(frozen=True, slots=True)
class Shared:
    """Once for the step, by the first thread but for products and what is `Divided`."""

    body: Sequence[Statement]


@dataclass(frozen=True, slots=True)
class Memory:
    """How many numbers a step needs: kept as parameters, shared by all samples, for each sample, for each thread, and
    how many of the last are totals."""

    kept: int
    shared: int
    each: int
    own: int
    totals: int


@dataclass(frozen=True)
class Step:
    """A whole step: its arguments, the layout of its memory, its phases in order, and what it gives back.

    `lanes` is how many samples are computed at once; a step for a `team` is made by many threads, each of which knows its
    number and that of all.
    `results` are sections of the memory, or texts where a result is an argument or a number; `returns` is the scalar
    that the step itself returns. A step with `updates` changes its parameters in the last phase.
    Those of the `functions` that are `wide` have vector forms that are used. `tables` are constant numbers that the
    statements read, by name; `work` is about how many numbers it computes for each sample, `once` how many besides.
    """

    title: str
    arguments: Sequence[Argument]
    sections: Sequence[Section]
    flats: Sequence[Flat]
    memory: Memory
    phases: Sequence[Samples | Shared]
    results: Sequence[Section | str]
    returns: str | None
    updates: bool
    dtype: str
    lanes: int
    team: bool
    functions: frozenset[str]
    wide: frozenset[str]
    tables: Mapping[str, tuple[float, ...]]
    sums: Sequence[SumOfProducts | SumOfWinners]
    products: bool
    work: int
    once: int

    @property
    def loss(self) -> str:
        """What the step returns: read once, where a new value may be written over it, or by all threads of a team."""
        changes = self.updates and self.returns is not None and (self.team or "[" in self.returns)
        return "loss" if changes else self.returns or ""
