"""Where the threads of a step have to meet between its matrix products."""

import pytest

from graphgrad.compiler.loops import Comment, Let, Product, groups

FIRST = Product("A", "x", "W.T")


@pytest.mark.parametrize(
    ("second", "together"),
    [
        (Product("B", "x", "V.T"), True),
        (Product("B", "A", "V"), False),  # reads what the first makes
        (Product("B", "y", "A.T"), False),
        (Product("W", "z.T", "x", "scale", "keep"), False),  # changes what the first reads
        (Product("A", "y", "V"), False),
    ],
)
def test_products_run_side_by_side_unless_one_waits_for_the_other(second, together):
    found = groups([Comment("A = Wx"), FIRST, Comment("next"), second])
    assert [is_product for is_product, _ in found] == [True] * (1 if together else 2)
    assert [line for _, lines in found for line in lines] == [Comment("A = Wx"), FIRST, Comment("next"), second]


def test_what_is_no_product_is_apart_and_in_order():
    number = Let("scale", "-rate[()]")
    found = groups([number, FIRST, Comment("a number"), number])
    assert found == [(False, [number]), (True, [FIRST]), (False, [Comment("a number"), number])]
