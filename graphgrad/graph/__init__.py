"""What the user builds: graphs, nodes, names and notation, shapes, the text form, errors."""

from graphgrad.graph.errors import (
    AdviceWarning,
    DataError,
    GradientError,
    GraphError,
    NamingError,
    NotFiniteWarning,
    ShapeError,
    TextError,
)
from graphgrad.graph.formula import ZERO, Axis, Formula, Index, at, axes_of, stretched
from graphgrad.graph.graph import Graph, ancestors, computed_from, current
from graphgrad.graph.mathml import Formulated, mathml
from graphgrad.graph.names import Name, name
from graphgrad.graph.node import Leaf, Node, apply
from graphgrad.graph.notation import (
    ATOM,
    POWER,
    PRODUCT,
    SUM,
    Notation,
    Style,
    equation,
    formula,
    function,
    number,
    written,
)
from graphgrad.graph.operation import FUNCTIONS, Misfit, NoGradient, Operand, Operation, public
from graphgrad.graph.place import Place, here
from graphgrad.graph.types import Type, checked_shape, extent

__all__ = [
    "ATOM",
    "FUNCTIONS",
    "POWER",
    "PRODUCT",
    "SUM",
    "ZERO",
    "AdviceWarning",
    "Axis",
    "DataError",
    "Formula",
    "Formulated",
    "GradientError",
    "Graph",
    "GraphError",
    "Index",
    "Leaf",
    "Misfit",
    "Name",
    "NamingError",
    "NoGradient",
    "Node",
    "NotFiniteWarning",
    "Notation",
    "Operand",
    "Operation",
    "Place",
    "ShapeError",
    "Style",
    "TextError",
    "Type",
    "ancestors",
    "apply",
    "at",
    "axes_of",
    "checked_shape",
    "computed_from",
    "current",
    "equation",
    "extent",
    "formula",
    "function",
    "here",
    "mathml",
    "name",
    "number",
    "public",
    "stretched",
    "written",
]
