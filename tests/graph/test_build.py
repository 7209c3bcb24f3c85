"""A network as a function: names from local variables, declarations from arguments, nothing displaced on the way."""

# ruff: noqa: F841, RET504 - the names of local variables are the names of nodes

import cProfile
import sys

import pytest

import graphgrad as gg
from tests.graph.networks import by_attributes, two_hidden_layers
from tests.graph.structure import structure


def test_the_names_of_locals_are_the_names_of_nodes():
    @gg.network
    def one_neuron(x=gg.Input(2), w=gg.Param(2), b=gg.Param()):
        z = w @ x + b
        y = gg.sigmoid(z)
        return y

    g = one_neuron()
    assert isinstance(g, gg.Graph)
    assert str(g) == "one neuron\nA = wᵀx\nz = A + b\ny = σ(z)"
    assert [node.name.ident for node in g.inputs + g.parameters] == ["x", "w", "b"]


def test_every_call_makes_a_graph_of_its_own():
    first, second = two_hidden_layers(), two_hidden_layers()
    assert first is not second
    assert structure(first) == structure(second)
    assert two_hidden_layers(x=gg.Input(5), W0=gg.Param(3, 5)).count_params() == 27
    assert two_hidden_layers.__name__ == "two_hidden_layers"


def test_declarations_have_kind_shape_and_tex():
    @gg.network
    def declared(t=gg.Input(), W0=gg.Param(3, 2), y_hat=gg.Input(3, tex=r"\hat{y}")):
        l = gg.sum(y_hat) - t

    g = declared()
    assert [(n.name.tex, n.kind, n.shape) for n in g.nodes[:3]] == [
        ("t", "input", ()),
        ("W^{[0]}", "parameter", (3, 2)),
        (r"\hat{y}", "input", (3,)),
    ]
    assert g.t.place.line == declared.__wrapped__.__code__.co_firstlineno
    assert g.l.place.line == g.t.place.line + 2


def test_a_title_can_be_given():
    @gg.network(title="A network, by name")
    def f(x=gg.Input()):
        y = gg.tanh(x)

    assert f().title == "A network, by name"


def test_other_arguments_are_handed_on():
    @gg.network
    def deep(width, x=gg.Input(3), *, layers=2, activation=gg.tanh):
        h = x
        for _ in range(layers):
            h = activation(h * width)

    assert str(deep(2)) == "deep\nA = x · 2\nB = tanh(A)\nC = B · 2\nh = tanh(C)"
    assert len(deep(1, layers=50, activation=gg.sigmoid).steps) == 100


def test_the_first_name_of_a_node_is_its_name():
    @gg.network
    def aliases(x=gg.Input(2)):
        A = B = gg.tanh(x)
        alias = x
        C, (D, three) = gg.exp(A), (gg.exp(B), 3)

    assert str(aliases()) == "aliases\nA = tanh(x)\nC = exp(A)\nD = exp(A)"


def test_a_name_that_is_bound_again_names_the_last_node():
    @gg.network
    def bound_again(x=gg.Input()):
        A = gg.tanh(x)
        A = gg.exp(A)
        B = gg.log(A)
        del B

    assert str(bound_again()) == "bound again\nB = tanh(x)\nA = exp(B)\nC = ln(A)"


def test_helpers_name_nothing():
    @gg.network
    def helpers(x=gg.Input(2)):
        _hidden = gg.tanh(x)
        number, text, nodes = 2, "two", [gg.exp(_hidden)]
        squares = [gg.square(node) for node in nodes]

        def inner(node):
            C = node + number
            return C

        y = inner(squares[0])

    assert str(helpers()) == "helpers\nA = tanh(x)\nB = exp(A)\nC = B²\ny = C + 2"


def test_names_that_an_inner_function_uses_are_names_too():
    @gg.network
    def closed_over(x=gg.Input(2)):
        A = gg.tanh(x)

        def inner():
            return A

        B = gg.exp(inner())

    assert str(closed_over()) == "closed over\nA = tanh(x)\nB = exp(A)"


def test_names_of_an_enclosing_function_are_not():
    with gg.Graph() as outer:
        A = gg.input("A")

    @gg.network
    def enclosed(x=gg.Input()):
        y = gg.tanh(x) + A.type.size

    assert [node.name.ident for node in enclosed().nodes if node.name] == ["x", "A", "y"]
    assert outer.nodes == (A,)


def test_networks_inside_networks_do_not_meet():
    @gg.network
    def inner(x=gg.Input()):
        A = gg.tanh(x)

    @gg.network
    def outer(x=gg.Input()):
        A = gg.exp(x)
        part = inner()
        B = gg.log(A)

    assert str(outer()) == "outer\nA = exp(x)\nB = ln(A)"
    assert str(inner()) == "inner\nA = tanh(x)"


def test_a_gradient_is_named_by_a_copy():
    @gg.network
    def with_gradient(x=gg.Input(2), w=gg.Param(2)):
        l = gg.sigmoid(w @ x)
        G = gg.grad(l, w)
        n = gg.sum(G * G)

    assert with_gradient().text() == (
        '"with gradient"\nx = input(2)\nw = param(2)\nl = sigmoid(w @ x)\nn = sum(grad(l, w) * grad(l, w))\nG = grad(l, w)\n'
    )


@pytest.mark.parametrize("watcher", ["profile", "trace", "cProfile"])
def test_a_profiler_or_debugger_stays_where_it_is(watcher):
    events = []
    profiler = cProfile.Profile()

    def hook(frame, event, argument):
        if frame.f_code is two_hidden_layers.__wrapped__.__code__:
            events.append(event)
        return hook

    before = sys.getprofile(), sys.gettrace()
    try:
        if watcher == "profile":
            sys.setprofile(hook)
            g = two_hidden_layers()
            assert sys.getprofile() is hook
        elif watcher == "trace":
            sys.settrace(hook)
            g = two_hidden_layers()
            assert sys.gettrace() is hook
        else:
            profiler.enable()
            g = two_hidden_layers()
            profiler.disable()
    finally:
        sys.setprofile(before[0])
        sys.settrace(before[1])
    assert structure(g) == structure(by_attributes())
    assert watcher == "cProfile" or {"call", "return"} <= set(events), "the hook went on hearing of the function"


def refused(function, *arguments, **named):
    with pytest.raises(gg.GraphError) as error:
        gg.network(function)(*arguments, **named)
    return str(error.value)


def test_what_is_wrong_is_one_sentence():
    def rebinds(x=gg.Input(2)):
        x = x / 255

    line = rebinds.__code__.co_firstlineno + 1
    assert refused(rebinds) == (
        f"rebinds: x is an input and is bound again, to x / 255 (test_build.py:{line}); give that line a name of its own"
    )

    def returns_a_number(x=gg.Input()):
        return 3

    assert refused(returns_a_number) == "returns_a_number returns 3: a network returns nodes of its own, or nothing"

    def misnamed(x=gg.Input(tex="z")):
        pass

    assert refused(misnamed) == "misnamed: z is called z in Python, not x"

    def needs(width, x=gg.Input()):
        pass

    assert refused(needs) == "needs: missing a required argument: 'width'"
    assert refused(needs, 1, depth=2) == "needs: got an unexpected keyword argument 'depth'"

    def gathers(*weights):
        pass

    assert (
        refused(gathers, gg.Param(2))
        == "gathers: a declaration in weights has no name, give each an argument of its own"
    )

    def shapeless(x=gg.Input(0)):
        pass

    assert refused(shapeless) == "x: the shape (0,) has an extent below 1"

    def alike(x=gg.Input()):
        z1 = gg.tanh(x)
        z_1 = gg.exp(x)

    assert refused(alike).startswith("the name z_{1} is used twice: z₁ = tanh(x) (test_build.py:")

    def misfits(x=gg.Input(2), W=gg.Param(3, 3)):
        A = W @ x

    line = misfits.__code__.co_firstlineno
    assert refused(misfits) == (
        f"A = W @ x: W is 3x3 and takes 3 rows, x has 2 (W is a parameter of shape 3x3, test_build.py:{line}; "
        f"x is an input of shape 2, test_build.py:{line}), at test_build.py:{line + 1}"
    )


@pytest.mark.parametrize("thing", [3, gg.Graph, len, lambda: (yield), gg.tanh])
def test_only_a_plain_function_is_a_network(thing):
    with pytest.raises(gg.GraphError, match=r"network decorates a plain function, and .* is none"):
        gg.network(thing)


def test_an_error_of_the_function_is_its_own():
    def breaks(x=gg.Input()):
        raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        gg.network(breaks)()
    with pytest.raises(gg.GraphError, match="no graph is open"):
        gg.input("x")
