"""Arithmetic on pairs of floating-point numbers, which together carry twice their bits.

JAX computes in float32 unless float64 is enabled for the whole process, and accelerators are slow
at float64. A number is therefore kept as an unevaluated sum `hi + lo`. Two float32 carry about 46
bits, two float64 about 104.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax


class Pair(NamedTuple):
    """The unevaluated sum `hi + lo` of two floats, where `lo` is below the last bit of `hi`."""

    hi: jax.Array
    lo: jax.Array


def two_sum(a: jax.Array, b: jax.Array) -> Pair:
    """The sum of two numbers and its exact rounding error (Knuth 1969)."""
    total = a + b
    rest = total - a
    return Pair(total, (a - (total - rest)) + (b - rest))


def add(x: Pair, y: Pair) -> Pair:
    """`x + y`, element by element."""
    total = two_sum(x.hi, y.hi)
    return _normalise(total.hi, total.lo + (x.lo + y.lo))


def negate(x: Pair) -> Pair:
    """`-x`, exactly."""
    return Pair(-x.hi, -x.lo)


def multiply(x: Pair, y: Pair) -> Pair:
    """`x * y`, element by element (Dekker 1971).

    The factors are split by bit masks. Dekker's own split subtracts a product, and XLA may fuse
    `a * b - c` into one rounding, which would undo it.
    """
    # XLA-13, see docs/xla.md.
    half = (jnp.finfo(x.hi.dtype).nmant + 2) // 2
    x_high, y_high = _clear_bits(x.hi, half), _clear_bits(y.hi, half)
    x_low, y_low = x.hi - x_high, y.hi - y_high
    total = _clear_bits(x.hi * y.hi, 1)
    error = ((x_high * y_high - total) + x_high * y_low + x_low * y_high) + x_low * y_low
    return _normalise(total, error + (x.hi * y.lo + x.lo * y.hi))


def reciprocal(x: Pair) -> Pair:
    """`1 / x`, element by element: the rounded quotient, refined by one Newton step."""
    guess = Pair(1 / x.hi, jnp.zeros_like(x.hi))
    product = multiply(x, guess)
    error = add(Pair(jnp.ones_like(x.hi), guess.lo), negate(product))
    return add(guess, multiply(guess, error))


def _normalise(hi: jax.Array, lo: jax.Array) -> Pair:
    """Moves into `hi` what of `lo` reaches its last bit; `hi` must be the larger."""
    total = hi + lo
    return Pair(total, lo - (total - hi))


def _clear_bits(x: jax.Array, count: int) -> jax.Array:
    """Sets the last bits of each number to 0."""
    unsigned = jnp.uint64 if x.dtype == jnp.float64 else jnp.uint32
    mask = jnp.iinfo(unsigned).max - (2**count - 1)
    bits = lax.bitcast_convert_type(x, unsigned) & unsigned(mask)
    return lax.bitcast_convert_type(bits, x.dtype)
