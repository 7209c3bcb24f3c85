"""Arrays as images: what is drawn, on which scale, and what is refused."""

import base64
import struct
import zlib
from xml.etree import ElementTree

import numpy as np
import pytest

import graphgrad as gg

SVG = "{http://www.w3.org/2000/svg}"


def drawn(picture):
    """The titles above the images, and the pixels of each."""
    root = ElementTree.fromstring(picture.svg())
    titles = [text.text for text in root.iter(f"{SVG}text") if "font-size" not in text.attrib]
    return titles, [pixels(image.get("href")) for image in root.iter(f"{SVG}image")]


def pixels(link):
    file = base64.b64decode(link.removeprefix("data:image/png;base64,"))
    width, height = struct.unpack(">II", file[16:24])
    length = struct.unpack(">I", file[33:37])[0]
    lines = np.frombuffer(zlib.decompress(file[41 : 41 + length]), np.uint8).reshape(height, 1 + 3 * width)
    return lines[:, 1:].reshape(height, width, 3)


def test_a_matrix_is_one_image_and_a_stack_a_row_of_them_on_one_scale():
    titles, images = drawn(gg.tiles({"A": np.eye(2), "F": np.arange(12.0).reshape(2, 2, 3)}))
    assert titles == ["A", "F 1", "F 2"]
    assert [image.shape for image in images] == [(2, 2, 3), (2, 3, 3), (2, 3, 3)]
    assert images[0][..., 0].tolist() == [[255, 0], [0, 255]]
    assert images[1].max() == round(255 * 5 / 11)
    assert images[2].max() == 255


def test_numbers_of_both_signs_are_centred_at_0():
    _, (image,) = drawn(gg.tiles({"w": [[-2.0, 0.0, 2.0], [-1.0, np.nan, 1.0]]}))
    left, middle, right = image[0].astype(int)
    assert middle.tolist() == [255, 255, 255]
    assert left[2] > left[0]
    assert right[0] > right[2]
    assert abs(image[1, 0] - (left + middle) / 2).max() <= 1
    assert image[1, 1].tolist() == [0xC0, 0x39, 0x2B]


def test_images_stand_in_rows():
    picture = gg.tiles({name: np.zeros((1, 1)) for name in "ABC"}, columns=2)
    assert [[tile.title for tile in row] for row in picture.rows] == [["A", "B"], ["C"]]
    assert set(picture._repr_mimebundle_()) == {"image/svg+xml", "text/plain"}


def test_a_title_is_text():
    titles, _ = drawn(gg.tiles({"</text><script>x\x00": [[1.0]], "a title that is longer than it can be": [[1.0]]}))
    assert titles == ["</text><script>x\ufffd", "a title that is longer …"]


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({"A": [1.0, 2.0]}, r"tiles: A is of shape \(2,\); an image has two axes"),
        ({"A": "x"}, "tiles: A is no array of numbers"),
        ({}, "tiles: there are 0 images to draw"),
        ({"A": np.zeros((300, 1, 1))}, "tiles: there are 300 images to draw, and can be from 1 to 256"),
    ],
)
def test_what_is_no_image_is_refused(arrays, sentence):
    with pytest.raises(gg.GraphError, match=sentence):
        gg.tiles(arrays)


def test_options_are_checked():
    with pytest.raises(gg.GraphError, match="columns is 0"):
        gg.tiles({"A": [[1.0]]}, columns=0)
    with pytest.raises(gg.GraphError, match="'red' is not a theme"):
        gg.tiles({"A": [[1.0]]}, theme="red")
