"""The chain rule on the toy graph f(u) = u², u(v) = 2v, v(x) = 1/x: factors 2u · 2 · (-1/x²), at x = 2 f = 1, f' = -1."""

import sympy as sp

import graphgrad as gg

with gg.Graph("toy chain") as g:
    x = gg.input("x")
    g.v = 1 / x
    g.u = 2 * g.v
    g.f = g.u**2

print(g, end="\n\n")
chain = gg.chain(g.f, x)
print(chain.latex())

result = gg.compile(g, "f", wrt=["u", "v", "x"])(x=2.0)
product = 1.0
for factor in chain.factors:
    local = gg.compile(g, factor.of, wrt=factor.wrt)(x=2.0).grad[factor.wrt]
    product *= local
    print(f"{factor} = {local:g} at x = 2")
print(f"f = {result['f']:g}, ∂f/∂x = {result.grad['x']:g}")
assert result["f"] == 1.0
assert product == result.grad["x"] == -1.0

# The factors as formulas, and their product in x alone.
s, u, v = sp.symbols("x u v")
factors = [sp.diff(u**2, u), sp.diff(2 * v, v), sp.diff(1 / s, s)]
whole = sp.prod(factors).subs(u, 2 * v).subs(v, 1 / s)
print(f"{' · '.join(f'({factor})' for factor in factors)} = {whole}")
assert factors == [2 * u, 2, -1 / s**2]
assert whole.subs(s, 2) == -1
