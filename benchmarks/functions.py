"""Each contender's value and gradients of a function; a call returns the value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from workloads import LENGTHS, TARGET, Workload

Call = Callable[[], float]


def _arm(q: Any, cos: Any, sin: Any) -> Any:
    """How far the hand of an arm is from its target, with a price on each bend."""
    angle, across, up, bends = 0.0, -TARGET[0], -TARGET[1], 0.0
    for k, length in enumerate(LENGTHS):
        angle = angle + q[k]
        across, up, bends = across + length * cos(angle), up + length * sin(angle), bends + q[k] ** 2
    return across**2 + up**2 + bends / 1000


def _valley(x: Any) -> Any:
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


def _chain(x: Any, a: Any, b: Any, tanh: Any, sigmoid: Any, exp: Any) -> Any:
    return tanh(a * x + b) * sigmoid(x) ** 2 * exp(-x * x)


def graphgrad(workload: str, load: Workload, threads: int) -> Call:
    """A graph over the samples, or a compiled SymPy expression."""
    import sympy as sp

    import graphgrad as gg

    gg.set_num_threads(threads)
    x = load.arrays["x"]
    if workload.startswith("chain"):
        with gg.Graph(load.name) as g:
            xs, a, b = gg.input("x"), gg.param("a"), gg.param("b")
            g.J = gg.batch_sum(_chain(xs, a, b, gg.tanh, gg.sigmoid, gg.exp))
        f = gg.compile(g, "J", wrt=["a", "b", "x"], dtype=load.dtype, keep=False)
        given = {"a": load.arrays["a"], "b": load.arrays["b"], "x": x}
        return lambda: float(f(**given)["J"])
    if workload == "arm":
        q = sp.symbols(f"q:{len(x)}")
        function = gg.lambdify(_arm(q, sp.cos, sp.sin), [q])
    else:
        i, v = sp.Idx("i"), sp.IndexedBase("x")
        function = gg.lambdify(sp.Sum(100 * (v[i + 1] - v[i] ** 2) ** 2 + (1 - v[i]) ** 2, (i, 0, len(x) - 2)), v)
    return lambda: float(function.value_and_grad(x)[0])


def torch(workload: str, load: Workload, threads: int) -> Call:
    """PyTorch, eager."""
    return _torch(workload, load, threads, lambda function: function)


def inductor(workload: str, load: Workload, threads: int) -> Call:
    """PyTorch's torch.compile."""
    import torch as th

    return _torch(workload, load, threads, th.compile)


def _torch(workload: str, load: Workload, threads: int, compiled: Callable[[Any], Any]) -> Call:
    import torch as th

    th.set_num_threads(threads)
    given = [th.from_numpy(np.array(array)).requires_grad_() for array in load.arrays.values()]
    if workload.startswith("chain"):
        function = compiled(lambda x, a, b: _chain(x, a, b, th.tanh, th.sigmoid, th.exp).sum())
    else:
        function = compiled(_valley)

    def call() -> float:
        for one in given:
            one.grad = None
        value = function(*given)
        value.backward()
        return float(value.item())

    return call


def jax(workload: str, load: Workload, threads: int) -> Call:
    """JAX, jitted value and gradients."""
    import jax as jx
    import jax.numpy as jnp

    jx.config.update("jax_enable_x64", load.dtype == "float64")
    given = [jnp.asarray(array) for array in load.arrays.values()]
    functions = {
        "arm": lambda q: _arm(q, jnp.cos, jnp.sin),
        "valley": _valley,
        "chain32": lambda x, a, b: _chain(x, a, b, jnp.tanh, jx.nn.sigmoid, jnp.exp).sum(),
    }
    function = jx.jit(jx.value_and_grad(functions.get(workload, functions["chain32"]), tuple(range(len(given)))))

    def call() -> float:
        value, gradients = function(*given)
        gradients[0].block_until_ready()
        return float(value)

    return call


def pytensor(workload: str, load: Workload, threads: int) -> Call:
    """PyTensor, its Numba mode; the arm is the SymPy expression, a scalar for each of its symbols.

    Written anew by hand for a vector of joints it is several times faster there, as a sum over a running sum.
    """
    import pytensor as pn
    import pytensor.tensor as pt
    import sympy as sp

    if workload == "arm":
        q = sp.symbols(f"q:{len(load.arrays['x'])}")
        joints = [pt.dscalar(str(one)) for one in q]
        value = sp.lambdify(q, _arm(q, sp.cos, sp.sin), [{"cos": pt.cos, "sin": pt.sin}])(*joints)
        function = pn.function(joints, [value, *pn.grad(value, joints)], mode="NUMBA")
        numbers = [np.array(one) for one in load.arrays["x"]]
        return lambda: float(function(*numbers)[0])
    given = [pt.tensor(name, dtype=load.dtype, shape=array.shape) for name, array in load.arrays.items()]
    value = _chain(*given, pt.tanh, pt.sigmoid, pt.exp).sum() if workload.startswith("chain") else _valley(given[0])
    function = pn.function(given, [value, *pn.grad(value, given)], mode="NUMBA")
    arrays = list(load.arrays.values())
    return lambda: float(function(*arrays)[0])
