"""How many parameters the first layer of ten units has, fully connected to an image: counted, never allocated."""

import graphgrad as gg

IMAGES = {(28, 28): 7_850, (256, 256): 655_370, (256, 256, 256): 167_772_170}

for shape, expected in IMAGES.items():
    with gg.Graph(f"ten units on {'x'.join(map(str, shape))}") as g:
        x = gg.input("x", *shape)
        g.v = gg.flatten(x)
        W, b = gg.param("W", 10, g.v.type.size), gg.param("b", 10)
        g.A = gg.softmax(W @ g.v + b)
    print(f"{g.summary()}\n")
    assert g.count_params() == expected

# The slide says "160M" for the volume: it is 10 · 256³ weights and 10 biases.
assert g.count_params() == 10 * 256**3 + 10

# The same image through one convolution with ten filters of 3 x 3 x 3 has 280, whatever its size.
with gg.Graph("ten filters on 256x256x256") as g:
    x, w, b = gg.input("x", 1, 256, 256, 256), gg.param("w", 10, 1, 3, 3, 3), gg.param("b", 10, 1, 1, 1)
    g.F = gg.conv(x, w, padding="same") + b
print(g.summary())
assert g.count_params() == 280
