from graphgrad.ops import *
from graphgrad.public import *
from graphgrad.calculus.gradient import grad
