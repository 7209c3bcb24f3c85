"""The objective J = Σₙ l(y(xₙ), tₙ) + λ R(W) with R = ‖W‖₁ or ‖W‖₂²: sum and regulariser are nodes, λ is turned.

λ is a parameter of the graph, so one compiled step serves every value of it.
"""

import numpy as np

import graphgrad as gg

with gg.Graph("objective") as g:
    x, t = gg.input("x", 2), gg.input("t")
    w, strength = gg.param("w", 2), gg.param("lambda")
    g.y = gg.sigmoid(w @ x)
    g.l = gg.binary_cross_entropy(g.y, t)
    g.S = gg.batch_sum(g.l)
    g.R1, g.R2 = gg.l1(w), gg.l2(w)
    g.J1 = g.S + strength * g.R1
    g.J2 = g.S + strength * g.R2

print(g)

data = {"x": np.array([[0.4, -1.0], [-2.1, 3.0], [1.5, 0.2]]), "t": np.array([1.0, 0.0, 1.0])}
weights = np.array([0.7, -1.3])
print("\n     λ    Σ l    λ‖w‖₁   J₁      ∂J₁/∂w             λ‖w‖₂²  J₂      ∂J₂/∂w")
first, second = gg.compile(g, "J1", wrt="w"), gg.compile(g, "J2", wrt="w")
free = first(**data, w=weights, lambda_=0.0).grad["w"]
for value in (0.0, 0.01, 0.1, 1.0):
    a, b = (f(**data, w=weights, lambda_=value) for f in (first, second))
    print(
        f"{value:6g} {a['S']:7.4f} {value * a['R1']:7.4f} {a['J1']:7.4f} {np.round(a.grad['w'], 4)!s:<18} "
        f"{value * b['R2']:7.4f} {b['J2']:7.4f} {np.round(b.grad['w'], 4)}"
    )
    assert np.allclose(a.grad["w"], free + value * np.sign(weights), atol=1e-14)
    assert np.allclose(b.grad["w"], free + value * 2 * weights, atol=1e-14)
