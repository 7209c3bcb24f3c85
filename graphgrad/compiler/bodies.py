"""The body of an operation over the texts of its operands: a template with a place for each.

A template is printed from the body's SymPy formula. Those of the operations that graphgrad brings along are printed
ahead, in `templates`, so that a first step does not wait for SymPy to be imported.
"""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from graphgrad.compiler.scalar import PLACE, Text, grouped, literal, source
from graphgrad.compiler.templates import ON_LANES, TEMPLATES
from graphgrad.ops.elementwise import BUILT_IN, At, Elementwise
from graphgrad.ops.symbolic import sp

_NUMBER = re.compile(r"real\((-?\d[^()]*)\)")


def text_of(body: Callable[..., Any], operands: Sequence[Text], dtype: str, lanes: bool) -> Text:
    """A body as source, with a text for each of its operands; of `lanes`, where a test has many answers."""
    if not isinstance(body, At):
        return _filled(printed(body, len(operands), dtype, lanes), operands)
    numbers = [literal(number, dtype) for number in body.numbers]
    return _filled(template(body.op, dtype, lanes), [*operands, *numbers])


@lru_cache(maxsize=1024)
def template(op: Elementwise, dtype: str, lanes: bool) -> Text:
    """The template of an elementwise operation: the one printed ahead, where it is one of graphgrad's as it stands."""
    known = BUILT_IN.get(op.name) is op and ((lanes and ON_LANES.get(op.name)) or TEMPLATES.get(op.name))
    if not known:
        return printed(At(op), op.arity, dtype, lanes)
    text, binding = known
    return (text if dtype == "float32" else _NUMBER.sub(lambda number: number[1], text)), binding


def printed(body: Callable[..., Any], count: int, dtype: str, lanes: bool) -> Text:
    """The template of a body of so many operands, by SymPy."""
    symbols = sp.symbols(f"operand:{count}", real=True)
    places = {symbol: (f"{{{k}}}", PLACE) for k, symbol in enumerate(symbols)}
    return source(body(*symbols), places, dtype, lanes)


@dataclass(frozen=True, slots=True)
class _Operand:
    """A text that puts itself in parentheses where its place in a template asks for it."""

    text: Text

    def __format__(self, least: str) -> str:
        return grouped(self.text, int(least or 0))


def _filled(template: Text, operands: Sequence[Text]) -> Text:
    text, binding = template
    if binding == PLACE:
        return operands[int(text.strip("{}"))]
    return text.format(*map(_Operand, operands)), binding


def main() -> None:
    """Print all templates ahead, into `templates.py`."""
    importlib.import_module("graphgrad.public")
    found = {
        lanes: {name: printed(At(op), op.arity, "float32", lanes) for name, op in sorted(BUILT_IN.items())}
        for lanes in (False, True)
    }
    others = {name: text for name, text in found[True].items() if text != found[False][name]}
    lines = [
        '"""The templates of graphgrad\'s own operations, and those that differ on lanes: written by `make templates`."""',
        "",
        "# fmt: off",
        "",
        *_stated("TEMPLATES", found[False]),
        "",
        *_stated("ON_LANES", others),
    ]
    Path(__file__).with_name("templates.py").write_text("\n".join(lines) + "\n", "utf-8")


def _stated(name: str, texts: Mapping[str, Text]) -> list[str]:
    return [
        f"{name}: dict[str, tuple[str, int]] = {{",
        *(f'    "{key}": ({json.dumps(text[0])}, {text[1]}),' for key, text in texts.items()),
        "}",
    ]


if __name__ == "__main__":
    main()

__all__ = ["printed", "template", "text_of"]
