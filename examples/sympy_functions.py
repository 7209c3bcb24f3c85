"""SymPy expressions as fast functions: a robot's arm that reaches for a point, and Rosenbrock's valley.

`gg.lambdify` compiles an expression with its gradient and its Hessian times a vector; SciPy's optimisers call it.
"""

import numpy as np
import sympy as sp
from scipy.optimize import minimize

import graphgrad as gg

# An arm of three joints: where its hand is, and how far from the target; a little is paid for each bend.
q = sp.symbols("q1:4")
angles = [sum(q[: k + 1]) for k in range(3)]
hand = [sum(sp.cos(angle) for angle in angles), sum(sp.sin(angle) for angle in angles)]
target = (1.0, 2.0)
cost = (hand[0] - target[0]) ** 2 + (hand[1] - target[1]) ** 2 + sp.Rational(1, 1000) * sum(joint**2 for joint in q)

arm = gg.lambdify(cost, [q])
found = minimize(arm.value_and_grad, np.full(3, 0.1), jac=True, hessp=arm.hvp, method="Newton-CG")
place = [float(part.subs(dict(zip(q, found.x, strict=True)))) for part in hand]
print(f"the hand reaches ({place[0]:.2f}, {place[1]:.2f}) with the joints at {np.round(found.x, 2).tolist()}")
assert np.allclose(place, target, atol=0.01)

# Rosenbrock's function of a thousand variables: the sum stays a sum, and so does its gradient.
x, i, n = sp.IndexedBase("x", shape=(sp.Symbol("n", integer=True),)), sp.Idx("i"), sp.Symbol("n", integer=True)
valley = gg.lambdify(sp.Sum(100 * (x[i + 1] - x[i] ** 2) ** 2 + (1 - x[i]) ** 2, (i, 0, n - 2)), x)
found = minimize(valley.value_and_grad, np.full(1000, 0.9), jac=True, method="L-BFGS-B", options={"maxiter": 2000})
print(f"the valley's floor is {found.fun:.1e}, {len(valley.source.splitlines())} lines of code for 1000 variables")
assert np.allclose(found.x, 1, atol=1e-3)
