"""exp, log, tanh, sin, cos and erf as straight lines of arithmetic that the compiler turns into vector instructions.

The C library's functions take one number at a time, and a loop that calls them stays scalar. These are built as LLVM
instructions in place: range reduction, a polynomial, the power of two by its bits. Their errors are bounded in units in
the last place by tests against mpmath; NaN and infinity go through, results below the normal numbers are gradual.
Source: Muller, Elementary Functions, 3rd edition, 2016, chapters 4, 5 and 11.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
from llvmlite import binding, ir
from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic

from graphgrad.compiler.processor import features
from graphgrad.runtime import coefficients
from graphgrad.runtime.lanes import Lanes

Value = Any


@dataclass(frozen=True)
class Format:
    """A floating-point format: its types, the width of its parts, and the numbers that the reductions need."""

    real: Any
    integer: Any
    mantissa: int
    bias: int
    odd_terms: int  # of the logarithm's series
    highest: float  # exp of more is infinite
    lowest: float  # exp of less is 0
    ln2_high: float  # leading bits of ln 2, so that n * ln2_high is exact
    ln2_low: float
    half_pi: tuple[float, float, float]  # parts whose sum is π/2
    sine_terms: int  # of the series of sin and cos
    one: float  # from which on erf is 1

    def of_lanes(self, count: int) -> Format:
        """The same format in each lane of a vector."""
        return replace(self, real=ir.VectorType(self.real, count), integer=ir.VectorType(self.integer, count))

    @property
    def width(self) -> int:
        """The bits of a number."""
        return 1 + self.mantissa + (self.bias + 1).bit_length()

    @property
    def to_integer(self) -> float:
        """Adding it rounds to the nearest integer, which then stands in the low bits."""
        return 1.5 * 2.0**self.mantissa


SINGLE = Format(
    real=ir.FloatType(),
    integer=ir.IntType(32),
    mantissa=23,
    bias=127,
    odd_terms=5,
    highest=89.0,
    lowest=-104.0,
    ln2_high=0.693359375,
    ln2_low=-2.12194440054690583e-4,
    half_pi=(1.5707963705062866, -4.371138828673793e-08, -1.7151245100058819e-15),
    sine_terms=5,
    one=4.0,
)
DOUBLE = Format(
    real=ir.DoubleType(),
    integer=ir.IntType(64),
    mantissa=52,
    bias=1023,
    odd_terms=11,
    highest=710.0,
    lowest=-746.0,
    ln2_high=6.93147180369123816490e-01,
    ln2_low=1.90821492927058770002e-10,
    half_pi=(1.5707963267948966, 6.123233995736766e-17, -1.4973849048591698e-33),
    sine_terms=9,
    one=6.0,
)
FAR = 1e5
"""Angles beyond it are left to the C library: fewer digits than are needed would be left of them."""


def has_fma() -> bool:
    """Whether the processor multiplies and adds in one step."""
    return "fma" in features() or not binding.get_process_triple().startswith("x86")


class _Writer:
    """Writes arithmetic on one format; numbers of Python become constants."""

    def __init__(self, builder: Any, form: Format) -> None:
        self.b, self.form, self.fused = builder, form, has_fma()

    def number(self, value: Any) -> Value:
        return self._constant(self.form.real, float(value)) if isinstance(value, int | float) else value

    def whole(self, value: Any) -> Value:
        return self._constant(self.form.integer, value) if isinstance(value, int) else value

    @staticmethod
    def _constant(kind: Any, value: Any) -> Value:
        return ir.Constant(kind, [value] * kind.count if isinstance(kind, ir.VectorType) else value)

    def add(self, x: Any, y: Any) -> Value:
        return self.b.fadd(self.number(x), self.number(y))

    def sub(self, x: Any, y: Any) -> Value:
        return self.b.fsub(self.number(x), self.number(y))

    def mul(self, x: Any, y: Any) -> Value:
        return self.b.fmul(self.number(x), self.number(y))

    def div(self, x: Any, y: Any) -> Value:
        return self.b.fdiv(self.number(x), self.number(y))

    def fma(self, x: Any, y: Any, z: Any) -> Value:
        """x * y + z, rounded once where the processor can."""
        x, y, z = self.number(x), self.number(y), self.number(z)
        if not self.fused:
            return self.b.fadd(self.b.fmul(x, y), z)
        if not isinstance(self.form.real, ir.VectorType):
            return self.b.fma(x, y, z)
        kind = self.form.real
        name = f"llvm.fma.v{kind.count}f{self.form.width}"
        return self.b.call(
            cgutils.get_or_insert_function(self.b.module, ir.FunctionType(kind, [kind] * 3), name), (x, y, z)
        )

    def where(self, sign: str, x: Any, y: Any, then: Any, otherwise: Any) -> Value:
        """`then` where the comparison holds; a NaN makes it false."""
        test = self.b.fcmp_ordered(sign, self.number(x), self.number(y))
        return self.b.select(test, self.number(then), self.number(otherwise))

    def bits(self, x: Any) -> Value:
        return self.b.bitcast(self.number(x), self.form.integer)

    def real(self, i: Any) -> Value:
        return self.b.bitcast(self.whole(i), self.form.real)

    def polynomial(self, x: Value, coefficients: list[float]) -> Value:
        """By Horner's rule, the constant term first."""
        *rest, result = (self.number(c) for c in coefficients)
        for coefficient in reversed(rest):
            result = self.fma(result, x, coefficient)
        return result

    def nearest(self, x: Value, factor: float, more: int) -> tuple[Value, Value]:
        """The integer n next to x * factor, as a number; and a number whose last bits are n + more."""
        shift = self.form.to_integer + more
        shifted = self.fma(x, factor, shift)
        return self.sub(shifted, shift), shifted

    def power_of_two(self, bits: Value) -> Value:
        """2**n for an integer whose last bits are n and the bias of the exponents; higher bits are shifted out."""
        return self.real(self.b.shl(bits, self.whole(self.form.mantissa)))

    @property
    def scales(self) -> bool:
        """Whether the processor multiplies a register of numbers by powers of two, beyond the normal numbers as well."""
        kind = self.form.real
        whole = isinstance(kind, ir.VectorType) and kind.count * self.form.width == 512
        return whole and "avx512f" in features()

    def scaled(self, x: Value, n: Value) -> Value:
        """x 2ⁿ, rounded once."""
        kind, name = self.form.real, {32: "ps", 64: "pd"}[self.form.width]
        chosen, way = ir.IntType(kind.count), ir.IntType(32)
        function = cgutils.get_or_insert_function(
            self.b.module,
            ir.FunctionType(kind, [kind, kind, kind, chosen, way]),
            f"llvm.x86.avx512.mask.scalef.{name}.512",
        )
        return self.b.call(function, (x, n, x, chosen(-1), way(4)))

    def rest(self, x: Value, n: Value) -> Value:
        """r = x - n ln 2."""
        return self.fma(n, -self.form.ln2_low, self.fma(n, -self.form.ln2_high, x))

    def reduced(self, x: Value) -> tuple[Value, Value, Value]:
        """x = n ln 2 + r with |r| <= ln(2)/2: r, and 2ⁿ as two factors, for it may be infinite or below the normal
        numbers."""
        n, shifted = self.nearest(x, 1 / math.log(2), 2 * self.form.bias)
        whole = self.bits(shifted)
        half = self.b.lshr(whole, self.whole(1))
        return self.rest(x, n), self.power_of_two(half), self.power_of_two(self.b.sub(whole, half))

    def exp_minus_one(self, r: Value) -> Value:
        """exp(r) - 1 = r + r² (1/2 + r/6 + ...) for |r| <= ln(2)/2."""
        series = self.polynomial(r, list(coefficients.EXP[self.form.width]))
        return self.fma(self.mul(r, r), series, r)

    def clamped(self, x: Value, low: float, high: float) -> Value:
        above = self.where(">", low, x, low, x)
        return self.where("<", high, above, high, above)

    @property
    def least(self) -> float:
        """Where exp no longer counts beside 1."""
        return -0.7 * self.form.mantissa - 10

    # -- the functions -------------------------------------------------------------------------------------------

    def exp(self, x: Value) -> Value:
        """2ⁿ + 2ⁿ (exp(r) - 1), by one factor of 2ⁿ after the other, or at once where the processor scales by a power.

        What rounds to 0 is left out: a result below the normal numbers takes a processor twenty times as long."""
        far = self.b.fcmp_ordered("<", x, self.number(self.form.lowest))
        within = self.b.select(far, self.number(0), x)
        within = self.where("<", self.form.highest, within, self.form.highest, within)
        if self.scales:
            n, _ = self.nearest(within, 1 / math.log(2), 0)
            result = self.scaled(self.add(self.exp_minus_one(self.rest(within, n)), 1), n)
        else:
            r, first, second = self.reduced(within)
            result = self.mul(self.fma(self.exp_minus_one(r), first, first), second)
        return self.b.select(far, self.number(0), result)

    def expm1(self, x: Value) -> Value:
        """2ⁿ (exp(r) - 1) + (2ⁿ - 1), which keeps the digits of a small x."""
        r, first, second = self.reduced(self.clamped(x, self.least, self.form.highest))
        small = self.exp_minus_one(r)
        result = self.fma(self.mul(small, first), second, self.fma(first, second, -1))
        return self.where("==", x, 0, x, result)

    def log(self, x: Value) -> Value:
        """x = 2ᵏ m with m in [√½, √2]; ln m by the series of the inverse hyperbolic tangent."""
        b, form = self.b, self.form
        least = 2.0 ** (1 - form.bias)
        tiny = b.fcmp_ordered("<", x, self.number(least))
        exponent, m = self.split(b.select(tiny, self.mul(x, 2.0**form.mantissa), x))
        exponent = b.sub(exponent, b.select(tiny, self.whole(form.mantissa), self.whole(0)))
        return self.special_of_log(x, self.series_of_log(exponent, self.sub(m, 1)))

    def log1p(self, x: Value) -> Value:
        """1 + x = 2ᵏ m, where m - 1 = 2⁻ᵏ x + (2⁻ᵏ - 1) keeps the digits of x that 1 + x loses."""
        form = self.form
        u = self.add(x, 1)
        exponent, m = self.split(u)
        scale = self.real(self.b.sub(self.bits(1.0), self.b.shl(exponent, self.whole(form.mantissa))))
        least = self.where("==", u, 1, 0, x)  # arithmetic on numbers below the normal ones is slow
        f = self.fma(least, scale, self.sub(scale, 1))
        f = self.where(">", u, 2.0 ** (form.mantissa + 2), self.sub(m, 1), f)
        return self.where("==", u, 1, x, self.special_of_log(u, self.series_of_log(exponent, f)))

    def split(self, x: Value) -> tuple[Value, Value]:
        """k and m of x = 2ᵏ m with m in [√½, √2]."""
        b, form = self.b, self.form
        base = b.bitcast(self.number(math.sqrt(0.5)), form.integer)
        bits = self.bits(x)
        exponent = b.ashr(b.sub(bits, base), self.whole(form.mantissa))
        m = self.real(b.sub(bits, b.shl(exponent, self.whole(form.mantissa))))
        return exponent, m

    def series_of_log(self, exponent: Value, f: Value) -> Value:
        """ln(2ᵏ (1 + f)) = k ln 2 + f - f²/2 + s (f²/2 + z·series), so that the leading part f is exact."""
        k = self.b.sitofp(exponent, self.form.real)
        s = self.div(f, self.add(f, 2))
        z = self.mul(s, s)
        series = self.polynomial(z, [float(Fraction(2, 2 * j + 1)) for j in range(1, self.form.odd_terms)])
        square = self.mul(self.mul(f, f), 0.5)
        tail = self.mul(s, self.fma(z, series, square))
        rest = self.sub(self.fma(k, self.form.ln2_low, tail), square)
        return self.fma(k, self.form.ln2_high, self.add(f, rest))

    def special_of_log(self, x: Value, result: Value) -> Value:
        """What the logarithm of infinity, of 0, of less, and of what is no number is."""
        result = self.where("==", x, math.inf, x, result)
        result = self.where("==", x, 0, -math.inf, result)
        return self.where("<", x, 0, math.nan, self.b.select(self.b.fcmp_unordered("uno", x, x), x, result))

    def tanh(self, x: Value) -> Value:
        """-e / (e + 2) with e = exp(-2|x|) - 1, and the sign of x."""
        b, form = self.b, self.form
        sign = b.and_(self.bits(x), self.whole(-(1 << (form.width - 1))))
        size = self.real(b.xor(self.bits(x), sign))
        twice = self.mul(size, -2)
        within = self.where("<", twice, self.least, self.least, twice)
        n, shifted = self.nearest(within, 1 / math.log(2), form.bias)
        power = self.power_of_two(self.bits(shifted))
        e = self.fma(self.exp_minus_one(self.rest(within, n)), power, self.sub(power, 1))
        result = self.div(self.sub(0, e), self.add(e, 2))
        return self.real(b.or_(self.bits(result), sign))

    def sin(self, x: Value) -> Value:
        return self.where("==", x, 0, x, self._turned(x, 0, "sin"))  # 0 keeps its sign

    def cos(self, x: Value) -> Value:
        return self._turned(x, 1, "cos")

    def _turned(self, x: Value, quarters: int, name: str) -> Value:
        """The sine of x + quarters · π/2: x = n π/2 + r with |r| <= π/4, then ±sin r or ±cos r."""
        b, form = self.b, self.form
        if not self.fused:
            return self._by_library(name, x)
        shifted = self.fma(x, 2 / math.pi, form.to_integer)
        n = self.sub(form.to_integer, shifted)
        r = x
        for part in form.half_pi:
            r = self.fma(n, part, r)
        z = self.mul(r, r)
        signs = [(-1) ** k / math.factorial(2 * k + 1) for k in range(1, form.sine_terms)]
        sine = self.fma(self.mul(r, z), self.polynomial(z, signs), r)
        signs = [(-1) ** k / math.factorial(2 * k) for k in range(2, form.sine_terms + 1)]
        half = self.mul(z, 0.5)
        most = self.sub(1, half)
        lost = self.sub(self.sub(1, most), half)
        cosine = self.add(most, self.fma(self.mul(z, z), self.polynomial(z, signs), lost))
        turns = b.add(b.sub(self.bits(shifted), self.bits(form.to_integer)), self.whole(quarters))
        odd = b.icmp_signed("!=", b.and_(turns, self.whole(1)), self.whole(0))
        sign = b.shl(b.and_(turns, self.whole(2)), self.whole(form.width - 2))
        near = self.real(b.xor(self.bits(b.select(odd, cosine, sine)), sign))
        size = self.real(b.and_(self.bits(x), self.whole((1 << (form.width - 1)) - 1)))
        return self._unless_far(b.fcmp_ordered(">", size, self.number(FAR)), near, name, x)

    def _unless_far(self, far: Value, near: Value, name: str, x: Value) -> Value:
        """`near`, or what the C library makes of x where that is far."""
        b = self.b
        anywhere = far
        if isinstance(far.type, ir.VectorType):
            mask = ir.IntType(far.type.count)
            anywhere = b.icmp_unsigned("!=", b.bitcast(far, mask), ir.Constant(mask, 0))
        slot = cgutils.alloca_once_value(b, near)
        with b.if_then(anywhere, likely=False):
            b.store(b.select(far, self._by_library(name, x), near), slot)
        return b.load(slot)

    def _by_library(self, name: str, x: Value) -> Value:
        kind = self.form.real
        vector = f"v{kind.count}" if isinstance(kind, ir.VectorType) else ""
        called = f"llvm.{name}.{vector}f{self.form.width}"
        return self.b.call(cgutils.get_or_insert_function(self.b.module, ir.FunctionType(kind, [kind]), called), (x,))

    def erf(self, x: Value) -> Value:
        """x + x P(x²) near 0, then 1 - exp(-x²) Q((x - 2) / (x + 2)), and 1 where it rounds to that."""
        b, form = self.b, self.form
        sign = b.and_(self.bits(x), self.whole(-(1 << (form.width - 1))))
        size = self.real(b.xor(self.bits(x), sign))
        near = self.fma(size, self.polynomial(self.mul(size, size), list(coefficients.NEAR[form.width])), size)
        within = self.where("<", size, form.one, size, form.one)
        t = self.div(self.sub(within, 2), self.add(within, 2))
        tail = self.mul(
            self.exp(self.sub(0, self.mul(within, within))), self.polynomial(t, list(coefficients.FAR[form.width]))
        )
        result = self.where("<", size, 1, near, self.sub(1, tail))
        result = b.select(b.fcmp_unordered("uno", x, x), x, result)
        return self.real(b.or_(self.bits(result), sign))


def _function(name: str) -> Callable[..., Any]:
    def typed(typing_context: Any, x: Any) -> Any:
        real = x.real if isinstance(x, Lanes) else x
        if not isinstance(real, types.Float):
            return None
        form = SINGLE if real.bitwidth == 32 else DOUBLE
        if isinstance(x, Lanes):
            form = form.of_lanes(x.count)

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return getattr(_Writer(builder, form), name)(arguments[0])

        return x(x), generate

    typed.__name__ = name
    typed.__doc__ = f"{name}, as vector instructions where the loop allows it."
    result: Callable[..., Any] = intrinsic(typed)
    return result


exp: Callable[..., Any]
expm1: Callable[..., Any]
log: Callable[..., Any]
log1p: Callable[..., Any]
tanh: Callable[..., Any]
sin: Callable[..., Any]
cos: Callable[..., Any]
erf: Callable[..., Any]

if config.DISABLE_JIT:
    from scipy.special import erf

    exp, expm1, log, log1p, tanh, sin, cos = np.exp, np.expm1, np.log, np.log1p, np.tanh, np.sin, np.cos
else:
    exp, expm1, log, log1p, tanh = map(_function, ("exp", "expm1", "log", "log1p", "tanh"))
    sin, cos, erf = map(_function, ("sin", "cos", "erf"))
