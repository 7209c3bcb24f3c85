r"""The text form of a graph: one `name = expression` a line in Python's expression syntax, read and never run.

    "one neuron"                             # the title
    x = input(2)                             # a value of shape (2,) for each sample
    t = input()
    w: "\\mathbf{w}" = param(2)              # what all samples share, with its name in TeX
    with group("output"):
        y: "\\hat{y}" = sigmoid(w @ x)
    l = binary_cross_entropy(y, t)
    G = grad(l, w)

A text passes three gates: its characters, its syntax tree (`ast`, which runs nothing), and the graph's own rules. Each
lets through what it knows, and answers anything else with a TextError that says line and column.
"""

from __future__ import annotations

import ast
import inspect
import keyword
import math
import operator
import re
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, TypeVar

from graphgrad.graph.errors import GraphError, NamingError, ShapeError, TextError, did_you_mean
from graphgrad.graph.graph import Graph, checked_title
from graphgrad.graph.names import name
from graphgrad.graph.node import Node, clipped
from graphgrad.graph.operation import FUNCTIONS
from graphgrad.graph.place import TEXT, Place

LONGEST_TEXT = 1_000_000  # characters
LONGEST_LINE = 10_000
MOST_LINES = 12_000
MOST_WORDS = 100_000  # names and numbers
MOST_NODES = 30_000  # with those of the gradients that the text asks for
LONGEST_NUMBER = 40
DEEPEST = 100  # operations inside operations, brackets inside brackets
DEEPEST_GROUP = 20
LONGEST_CYCLE = 6  # names of a cycle that a sentence spells

DECLARATIONS = {"input": "input", "param": "parameter"}
"""The words that declare a leaf, with its kind."""

OPERATORS: dict[type[ast.operator | ast.unaryop | ast.cmpop], tuple[str, Callable[..., Any] | None]] = {
    ast.Add: ("add", operator.add),
    ast.Sub: ("subtract", operator.sub),
    ast.Mult: ("multiply", operator.mul),
    ast.Div: ("divide", operator.truediv),
    ast.Pow: ("power", operator.pow),
    ast.MatMult: ("matmul", None),
    ast.USub: ("negative", operator.neg),
    ast.Gt: ("greater", None),
    ast.GtE: ("greater_equal", None),
    ast.Lt: ("less", None),
    ast.LtE: ("less_equal", None),
}
"""The operators, with their operation on nodes and on numbers."""

A_LINE_IS = "a line is name = expression, such as A = W0 @ x"

Number = int | float
G = TypeVar("G", bound=Graph)


def read(text: str, graph: G, source: str = TEXT) -> G:
    """Write the graph that a text describes into an empty graph, and return it.

    `source` is the name of the file that the text comes from. Raises TextError for whatever cannot be read; what has
    been written until then stays in the graph.
    """
    reader = _Reader(graph, source)
    with graph.written_by(lambda: reader.place, MOST_NODES):
        reader.read(text)
    return graph


# -- characters --------------------------------------------------------------------------------------------------

_TOKEN = re.compile(
    r"""(?P<space>[ \t]++) | (?P<comment>\#.*) | (?P<name>[A-Za-z_\u0391-\u03c9][A-Za-z0-9_]*+)
    | (?P<number>(?:[0-9][0-9_]*+(?:\.[0-9_]*+)?+|\.[0-9][0-9_]*+)(?:[eE][+-]?[0-9]++)?+)
    | (?P<string>"(?:[^"\\\x00-\x1f]|\\[^\x00-\x1f])*+"|'(?:[^'\\\x00-\x1f]|\\[^\x00-\x1f])*+')
    | (?P<open>[(\[]) | (?P<close>[)\]]) | (?P<sign>[-+*/@,.=:<>]) | (?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)

_WORDS = {*keyword.kwlist} - {"with", "None", "True", "False"}

_INSTEAD = {
    "^": "a power is written **",
    "×": "a product is written * or @",
    "·": "a product is written * or @",
    "⊙": "a product is written *",
    "−": "minus is written -",
    "ᵀ": "a transpose is written .T",
    ";": "each name has a line of its own",
    "%": "there is no such operation",
    "{": "a list is written in ( )",
    "\\": "TeX stands in quotes",
    '"': "the string that begins here is not closed",
    "'": "the string that begins here is not closed",
}

# In the text form a backslash is a character like any other, save before a backslash or a quote, so that TeX can be
# written with one as with two. Python must not see it: it stands in the strings as a control character meanwhile.
_ESCAPE = re.compile(r"""\\([\\"'])?""")
_ESCAPED = re.compile("\x01\x01?|\x02\x02|\x03\x03")
_STAND_IN = {"\\": "\x01\x01", '"': "\x02\x02", "'": "\x03\x03", None: "\x01"}
_STOOD_FOR = {"\x01": "\\", "\x02": '"', "\x03": "'"}


def _hidden(string: str) -> str:
    return _ESCAPE.sub(lambda escape: _STAND_IN[escape[1]], string)


def _shown(string: str) -> str:
    return _ESCAPED.sub(lambda stand_in: _STOOD_FOR[stand_in[0][0]], string)


# -- lines -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Line:
    """One line: what it names, how the name is written, its expression, and the groups it stands in."""

    ident: str
    written: str
    statement: ast.Assign | ast.AnnAssign
    groups: tuple[str, ...]

    @property
    def value(self) -> ast.expr:
        assert self.statement.value is not None
        return self.statement.value


class _Reader:
    """Reads one text into one graph."""

    def __init__(self, graph: Graph, source: str) -> None:
        self.graph = graph
        self.source = source
        self.place = Place(source, 1, 1)
        self.code: list[str] = []
        self.lines: dict[str, _Line] = {}  # by identifier, all of the text
        self.nodes: dict[str, Node] = {}  # by identifier, of the lines so far
        self.line: _Line | None = None

    def read(self, text: str) -> None:
        if self.graph.nodes:
            raise GraphError("a text is read into an empty graph, this one has nodes already")
        self.code = self._scan(text)
        statements = self._tree().body
        match statements:
            case [ast.Expr(value=ast.Constant(value=str(title))) as first, *statements]:
                self._perform(first, setattr, self.graph, "title", _shown(title))
        for line in self._lines(statements, ()):
            self._note(line)
        for line in self.lines.values():
            self.line = line
            with ExitStack() as groups:
                for title in line.groups:
                    groups.enter_context(self.graph.group(title))
                self.nodes[line.ident] = self._define(line)

    def _scan(self, text: str) -> list[str]:
        """The lines without comments, where every character is one that the text form knows."""
        if len(text) > LONGEST_TEXT:
            raise self._error((1, 1), f"the text has {len(text):,} characters, at most {LONGEST_TEXT:,} are read")
        lines = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").split("\n")
        if len(lines) > MOST_LINES:
            raise self._error(
                (MOST_LINES + 1, 1), f"the text has {len(lines):,} lines, at most {MOST_LINES:,} are read"
            )
        depth = words = 0
        for row, line in enumerate(lines, 1):
            if len(line) > LONGEST_LINE:
                raise self._error((row, 1), f"the line has {len(line):,} characters, at most {LONGEST_LINE:,} are read")
            code = []
            for token in _TOKEN.finditer(line):
                kind, piece = token.lastgroup, token[0]
                if kind == "comment":
                    break
                if kind == "open" and (depth := depth + 1) > DEEPEST:
                    raise self._error((row, token.start() + 1), f"more than {DEEPEST} brackets are open")
                depth -= kind == "close"
                if kind in ("name", "number") and (words := words + 1) > MOST_WORDS:
                    raise self._error(
                        (row, token.start() + 1), f"more than {MOST_WORDS:,} names and numbers in one text"
                    )
                if (wrong := _misplaced(kind, piece)) is not None:
                    raise self._error((row, token.start() + 1), f"{clipped(line.strip())}: {wrong}")
                code.append(_hidden(piece) if kind == "string" else piece)
            lines[row - 1] = "".join(code).rstrip()
        return lines

    def _tree(self) -> ast.Module:
        try:
            return ast.parse("\n".join(self.code), filename="")  # a file that Python cannot find, to show a line of
        except SyntaxError as error:
            row = min(max(error.lineno or 1, 1), len(self.code))
            shown = clipped(_shown(self.code[row - 1].strip()))
            reason = "Python has no such line" if error.msg == "invalid syntax" else error.msg
            sentence = f"{shown!r} cannot be read: {_shown(reason)}; {A_LINE_IS}"
            raise self._error((row, max(error.offset or 1, 1)), sentence) from None
        except (RecursionError, MemoryError, ValueError):
            raise self._error((1, 1), f"the text nests more than {DEEPEST} operations") from None

    def _lines(self, statements: list[ast.stmt], groups: tuple[str, ...]) -> Iterator[_Line]:
        for statement in statements:
            match statement:
                case ast.Assign(targets=[ast.Name(id=written)]):
                    yield _Line(self._ident(written), written, statement, groups)
                case ast.AnnAssign(target=ast.Name(id=ident), annotation=annotation, value=ast.expr()):
                    yield _Line(self._ident(ident), self._tex(annotation, ident), statement, groups)
                case ast.With(items=[ast.withitem(context_expr=context, optional_vars=None)], body=body):
                    if len(groups) == DEEPEST_GROUP:
                        raise self._error(statement, f"more than {DEEPEST_GROUP} groups inside each other")
                    yield from self._lines(body, (*groups, self._group(context)))
                case _:
                    raise self._error(statement, self._no_line(statement))

    def _tex(self, annotation: ast.expr, ident: str) -> str:
        match annotation:
            case ast.Constant(value=str(tex)):
                label = self._perform(annotation, name, _shown(tex))
                if label.ident != self._ident(ident):
                    raise self._error(annotation, f"{label.tex} is called {label.ident} in a text, not {ident}")
                return _shown(tex)
        raise self._error(
            annotation, f'{ident} is followed by its name in TeX, in quotes, as in W0: "W^{{[0]}}" = param(3, 2)'
        )

    def _group(self, context: ast.expr) -> str:
        match context:
            case ast.Call(func=ast.Name(id="group"), args=[ast.Constant(value=str(title))], keywords=[]):
                return str(self._perform(context, checked_title, _shown(title), "group"))
        raise self._error(context, 'a group is written with group("Layer 1"): and its lines are indented')

    def _no_line(self, statement: ast.stmt) -> str:
        """What is wrong with a statement that is no line of the text form."""
        shown = clipped(self._source(statement))
        match statement:
            case ast.Expr(value=ast.Constant(value=str())):
                return f"{shown} stands alone: only the first line can be a title"
            case ast.Expr():
                return f"{shown} has no name: {A_LINE_IS}"
            case ast.AnnAssign(value=None):
                return f"{shown} has no expression: {A_LINE_IS}"
            case ast.AugAssign():
                return f"{shown} changes a name, and a name is given once: {A_LINE_IS}"
            case ast.Assign():
                return f"{shown} names more than one node, or what is no name: {A_LINE_IS}"
        return f"{shown} is no line of the text form: {A_LINE_IS}"

    def _note(self, line: _Line) -> None:
        if (first := self.lines.get(line.ident)) is not None:
            rows = f"on line {first.statement.lineno} and on line {line.statement.lineno}"
            raise self._error(line.statement, f"the name {line.ident} is used twice, {rows}")
        self.lines[line.ident] = line

    def _define(self, line: _Line) -> Node:
        match line.value:
            case ast.Call(func=ast.Name(id=("input" | "param") as word), args=extents, keywords=[]):
                kind = DECLARATIONS[word]
                shape = tuple(self._value(extent) for extent in extents)
                node = self._perform(line.value, self.graph.leaf, kind, line.written, shape, kind == "input")
            case expression:
                node = self._perform(line.statement, self.graph.define, line.written, self._value(expression))
        assert isinstance(node, Node)
        return node

    # -- expressions ---------------------------------------------------------------------------------------------

    def _value(self, part: ast.expr, depth: int = 0) -> Node | Number:
        """The node or the number that an expression stands for."""
        if depth > DEEPEST:
            raise self._error(part, f"the expression nests more than {DEEPEST} operations")
        match part:
            case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
                return self._fold(part, operator.pos, value)
            case ast.Name(id=written):
                return self._named(part, written)
            case ast.Attribute(value=inner, attr="T"):
                return self._operation(part, "transpose", self._value(inner, depth + 1))
            case ast.Subscript(value=inner, slice=index):
                return self._operation(part, "slice", self._value(inner, depth + 1), self._subscript(index, depth + 1))
            case ast.UnaryOp(op=sign, operand=inner) if type(sign) in OPERATORS:
                return self._operator(part, sign, self._value(inner, depth + 1))
            case ast.BinOp(left=left, op=sign, right=right) if type(sign) in OPERATORS:
                return self._operator(part, sign, self._value(left, depth + 1), self._value(right, depth + 1))
            case ast.Compare(left=left, ops=[sign], comparators=[right]) if type(sign) in OPERATORS:
                return self._operator(part, sign, self._value(left, depth + 1), self._value(right, depth + 1))
            case ast.Call(func=ast.Name(id=function)):
                return self._call(part, function, depth)
        raise self._refusal(part)

    def _subscript(self, part: ast.expr, depth: int) -> Any:
        """What stands in the brackets after a node: positions and slices, as Python has them."""
        match part:
            case ast.Tuple(elts=elements):
                return tuple(self._subscript(element, depth) for element in elements)
            case ast.Slice(lower=start, upper=stop, step=step):
                return slice(*(None if bound is None else self._value(bound, depth) for bound in (start, stop, step)))
            case ast.Constant(value=value) if value is ...:
                return value
        return self._value(part, depth)

    def _operator(
        self, part: ast.expr, sign: ast.operator | ast.unaryop | ast.cmpop, *operands: Node | Number
    ) -> Node | Number:
        function, on_numbers = OPERATORS[type(sign)]
        numbers = [operand for operand in operands if not isinstance(operand, Node)]
        if on_numbers and len(numbers) == len(operands):
            return self._fold(part, on_numbers, *numbers)
        return self._operation(part, function, *operands)

    def _fold(self, part: ast.expr, action: Callable[..., Any], *numbers: Number) -> Number:
        """The number that an expression of numbers stands for: whole where they are and nothing is divided."""
        try:
            result = action(*map(float, numbers))
        except ArithmeticError:
            result = math.nan
        if isinstance(result, complex) or not math.isfinite(result):
            raise self._refusal(part, "is no finite real number")
        whole = action is not operator.truediv and all(isinstance(number, int) for number in numbers)
        return int(result) if whole and result.is_integer() and abs(result) <= 2**53 else float(result)

    def _call(self, part: ast.Call, function: str, depth: int) -> Node:
        if function in DECLARATIONS:
            raise self._refusal(part, f"declares, and stands alone on its line, as in x = {function}(2)")
        if function not in FUNCTIONS:
            raise self._error(part, f"{self._formula()}: {self._no_operation(function)}")
        operands = [self._argument(argument, depth + 1) for argument in part.args]
        options = {}
        for option in part.keywords:
            if option.arg is None:
                raise self._refusal(option.value, "is no option: an option is name=value")
            options[option.arg] = self._argument(option.value, depth + 1)
        return self._operation(part, function, *operands, **options)

    def _argument(self, part: ast.expr, depth: int) -> Any:
        """An argument of a call: an expression, or a constant that only an option is."""
        match part:
            case ast.Constant(value=None | bool() as value):
                return value
            case ast.Constant(value=str(value)):
                return _shown(value)
            case ast.Tuple(elts=elements) | ast.List(elts=elements):
                return tuple(self._argument(element, depth + 1) for element in elements)
        return self._value(part, depth)

    def _operation(self, part: ast.expr, function: str, /, *operands: Any, **options: Any) -> Node:
        if all(operand is None or isinstance(operand, int | float | str) for operand in operands):
            raise self._refusal(part, "has no node among its operands")
        node = self._perform(part, FUNCTIONS[function], *operands, **options)
        if not isinstance(node, Node):
            raise self._refusal(part, "makes no node")
        return node

    def _named(self, part: ast.expr, written: str) -> Node:
        ident = self._ident(written)
        if (node := self.nodes.get(ident)) is not None:
            return node
        if ident not in self.lines:
            hint = f"; {written} is an operation: {written}(...)" if written in FUNCTIONS else ""
            raise self._error(
                part, f"{self._formula()}: {written} is not defined{hint or did_you_mean(written, self.lines)}"
            )
        if way := self._cycle(ident):
            raise self._error(part, f"{self._formula()}: a cycle, {self._around(way)}")
        row = self.lines[ident].statement.lineno
        raise self._error(part, f"{self._formula()}: {written} is defined on line {row}, below; move that line up")

    def _cycle(self, start: str) -> list[str]:
        """The names from the current line by way of `start` to a line that needs the current one; empty if none does."""
        assert self.line is not None
        current = self.line.ident
        needed_by = {start: current}
        queue = deque([start])
        while queue and current not in needed_by:
            at = queue.popleft()
            for used in map(self._ident, _names(self.lines[at].value)):
                if used in self.lines and used not in self.nodes and used not in needed_by:
                    needed_by[used] = at
                    queue.append(used)
        if current not in needed_by:
            return []
        way = [needed_by[current]]
        while way[-1] != current:
            way.append(needed_by[way[-1]])
        return way[::-1]

    def _around(self, way: list[str]) -> str:
        """A cycle in words: `A (line 3) needs B (line 4), which needs A`."""
        first, *others = (f"{ident} (line {self.lines[ident].statement.lineno})" for ident in way)
        if not others:
            return f"{first} needs itself"
        if len(others) > LONGEST_CYCLE:
            others[LONGEST_CYCLE - 1 : -1] = [f"{len(others) - LONGEST_CYCLE} more"]
        return f"{first} needs {', which needs '.join([*others, way[0]])}"

    # -- errors --------------------------------------------------------------------------------------------------

    def _perform(self, part: ast.expr | ast.stmt, action: Callable[..., Any], /, *operands: Any, **options: Any) -> Any:
        """What the graph does for a part of the text; an error of the graph becomes one of the text."""
        self.place = Place(self.source, *self._position(part), self.line.ident if self.line else None)
        try:
            return action(*operands, **options)
        except ShapeError as error:
            raise self._error(part, str(error)) from None
        except GraphError as error:
            raise self._error(part, f"{self._formula()}: {error}" if self.line else str(error)) from None
        except (TypeError, ValueError, ArithmeticError, LookupError, AttributeError) as error:
            # An operation of the user's own may stumble over arguments that only a text can give it.
            raise self._error(part, f"{self._formula()}: {_misuse(action, operands, options) or error}") from error

    def _refusal(self, part: ast.expr, why: str = "is nothing that a line can hold") -> TextError:
        formula, shown = self._formula(), clipped(self._source(part))
        subject = "this" if formula.endswith(f" = {shown}") else shown
        return self._error(part, f"{formula}: {subject} {why}")

    def _error(self, at: ast.expr | ast.stmt | tuple[int, int], reason: str) -> TextError:
        row, column = at if isinstance(at, tuple) else self._position(at)
        shown = "".join(c if c.isprintable() else repr(c)[1:-1] for c in reason)
        return TextError(shown, row, column, "" if self.source == TEXT else self.source)

    def _position(self, part: ast.expr | ast.stmt) -> tuple[int, int]:
        """Line and column, both from 1; `ast` counts bytes."""
        line = self.code[part.lineno - 1]
        before = part.col_offset if line.isascii() else len(line.encode()[: part.col_offset].decode())
        return part.lineno, before + 1

    def _source(self, part: ast.expr | ast.stmt) -> str:
        return _shown(" ".join((ast.get_source_segment("\n".join(self.code), part) or "").split()))

    def _formula(self) -> str:
        """The current line as it stands in the text, without its name in TeX."""
        assert self.line is not None
        return clipped(f"{self.line.ident} = {self._source(self.line.value)}")

    def _ident(self, written: str) -> str:
        """The identifier of a name: `α` is alpha."""
        if written in self.lines or written in self.nodes:
            return written
        try:
            return name(written).ident
        except NamingError:
            return written

    def _no_operation(self, function: str) -> str:
        if self._ident(function) in self.lines:
            return (
                f"{function} is a node and no operation; a product is written {function} * (...) or {function} @ (...)"
            )
        return f"there is no operation {function}{did_you_mean(function, [*FUNCTIONS, *DECLARATIONS])}"


def _misplaced(kind: str | None, piece: str) -> str | None:
    """What is wrong with a piece of a line, if anything is."""
    if kind == "name" and piece in _WORDS:
        return f"{piece} is a word of Python and no part of the text form; as a name it is written {piece}_"
    if kind == "number" and len(piece) > LONGEST_NUMBER:
        return f"a number of {len(piece):,} characters, at most {LONGEST_NUMBER} are read"
    if kind == "other":
        return _INSTEAD.get(piece, f"the character {piece!r} has no meaning here")
    return None


def _names(expression: ast.expr) -> list[str]:
    """The names of nodes in an expression."""
    called = {part.func for part in ast.walk(expression) if isinstance(part, ast.Call)}
    return [part.id for part in ast.walk(expression) if isinstance(part, ast.Name) and part not in called]


def _misuse(function: Callable[..., Any], operands: tuple[Any, ...], options: dict[str, Any]) -> str | None:
    """In what way the arguments are not those that the function takes."""
    signature = inspect.signature(function)
    try:
        signature.bind(*operands, **options)
    except TypeError as misfit:
        return f"it takes {', '.join(signature.parameters)}, but {misfit}"
    return None
