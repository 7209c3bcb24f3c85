"""Pictures of graphs: cards with formulas, forward values and backward gradients."""

from graphgrad.drawing.layout import DrawingError
from graphgrad.drawing.picture import Picture, picture
from graphgrad.drawing.tiles import Tiles, tiles
from graphgrad.drawing.view import GraphView, view

__all__ = ["DrawingError", "GraphView", "Picture", "Tiles", "picture", "tiles", "view"]
