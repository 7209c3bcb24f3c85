"""The chain rule on the toy graph f(u) = u², u(v) = 2v, v(x) = 1/x: factors 2u · 2 · (-1/x²), at x = 2 f = 1, f' = -1."""

import numpy as np
import sympy as sp

import graphgrad as gg

with gg.Graph("toy chain") as g:
    x = gg.input("x")
    g.v = 1 / x
    g.u = 2 * g.v
    g.f = g.u**2

print(g, end="\n\n")
chain = gg.chain(g.f, x)
print(chain.text())
print(chain.text("local"))
print(chain.latex("local"), end="\n\n")

result = gg.compile(g, "f", wrt="x")(x=2.0)
values = chain.values({"x": 2.0})
for factor, value in values.items():
    print(f"{factor} = {value:g} at x = 2")
print(f"f = {result['f']:g}, ∂f/∂x = {result.grad['x']:g}")
assert result["f"] == 1.0
assert list(values.values()) == [2.0, 2.0, -0.25]
assert np.prod(list(values.values())) == result.grad["x"] == -1.0

# The product of the factors in x alone, by SymPy.
s = sp.Symbol("x")
u, v = 2 / s, 1 / s
whole = (2 * u) * 2 * sp.diff(v, s)
print(f"in x alone: f = {u**2}, ∂f/∂x = {whole}")
assert sp.simplify(whole - sp.diff(u**2, s)) == 0
