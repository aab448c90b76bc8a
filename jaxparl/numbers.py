"""What floating-point numbers can tell apart; ratios of utilities, and amounts by a loss."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

Args = ParamSpec("Args")
Result = TypeVar("Result")

_NARROWER = {"float64": "float32", "int64": "int32", "uint64": "uint32", "complex128": "complex64"}

#: Utilities this close, relative to their size where that exceeds 1, are a tie in float32. A least
#: payment leaves an agent exactly indifferent, and symmetric moves are worth the same, but sums
#: that are rounded differ.
TIE_TOLERANCE = 1e-5
#: The same in float64.
TIE_TOLERANCE_64 = 1e-12


def precision_of(*values: Any) -> Any:
    """The type to compute with: float64 if an array of them is float64, else float32.

    Examples:
      >>> precision_of(jnp.ones(2), 0.5).__name__
      'float32'
    """
    is_wide = any(
        jnp.result_type(value) == jnp.float64
        for value in values
        if hasattr(value, "dtype") and not getattr(value, "weak_type", False)
    )
    return jnp.float64 if is_wide else jnp.float32


def by_precision(dtype: Any, single: float, double: float) -> float:
    """One of two tolerances: for float32, and for float64.

    Examples:
      >>> by_precision(jnp.float32, single=1e-6, double=1e-14)
      1e-06
    """
    return double if jnp.dtype(dtype) == jnp.float64 else single


def ties(value: jax.Array, best: jax.Array, dtype: Any = None) -> jax.Array:
    """Where a value ties with the best one `[]`, up to rounding in `dtype`, by default its own.

    Examples:
      >>> ties(jnp.array([1.0, 2.0, 2.000001]), jnp.float32(2.000001)).tolist()
      [False, True, True]
    """
    tolerance = by_precision(dtype or value.dtype, TIE_TOLERANCE, TIE_TOLERANCE_64)
    return value >= best - tolerance * jnp.maximum(1.0, jnp.abs(best))


def as_count(total: jax.Array) -> jax.Array:
    """An expected count `[...]`, as a whole number where it is one but for rounding.

    Examples:
      >>> print(as_count(jnp.array([39.999996, 39.9])))
      [40.  39.9]
    """
    whole = jnp.round(total)
    tolerance = by_precision(total.dtype, single=1e-6, double=1e-14)
    return jnp.where(jnp.abs(total - whole) <= tolerance * whole, whole, total)


def ratio(part: jax.Array, whole: jax.Array) -> jax.Array:
    """A share of a utility; NaN, for undefined, where the whole is not positive.

    A share of a loss means nothing: who gains 1 on a utility of -2 does not gain -50%.

    Examples:
      >>> print(ratio(jnp.array([1.0, 1.0]), jnp.array([4.0, -2.0])))
      [0.25  nan]
    """
    is_defined = whole > 0
    return jnp.where(is_defined, part / jnp.where(is_defined, whole, 1), jnp.nan)


def mean_ratio(parts: jax.Array, wholes: jax.Array) -> jax.Array:
    """The mean of the ratios of `[N]` agents; NaN where one of them is undefined.

    Examples:
      >>> print(mean_ratio(jnp.array([1.0, 1.5]), jnp.array([1.0, 1.0])))
      1.25
    """
    return jnp.mean(ratio(parts, wholes))


def in_proportion(whole: ArrayLike, loss: jax.Array, scale: ArrayLike) -> jax.Array:
    """The whole of an amount against losses of `scale` `[]` or more, and less against smaller ones.

    With a scale of 0 it is the whole throughout, also where nothing is lost.

    Args:
      whole: `[]`, as a nudge.
      loss: `[...]`; a gain counts as no loss.
      scale: `[]`, in the units of the loss.

    Examples:
      >>> loss = jnp.array([-1.0, 0.0, 1.0, 3.0])
      >>> [in_proportion(0.5, loss, scale).tolist() for scale in (2.0, 0.0)]
      [[0.0, 0.0, 0.25, 0.5], [0.5, 0.5, 0.5, 0.5]]
    """
    scale = jnp.asarray(scale)
    share = jnp.minimum(jnp.maximum(loss, 0) / jnp.where(scale > 0, scale, 1), 1)
    return jnp.asarray(whole) * jnp.where(scale > 0, share, 1)


def in_32_bits(function: Callable[Args, Result]) -> Callable[Args, Result]:
    """The same function on 32-bit numbers, whether or not JAX is told to use 64 bits.

    Learning computes in float32. Only exact solutions gain from float64.

    Raises:
      ValueError: when called, if JAX is told to use 64 bits and cannot be told otherwise.

    Examples:
      >>> in_32_bits(jnp.zeros)(2).dtype
      dtype('float32')
    """

    @functools.wraps(function)
    def narrow_function(*args: Args.args, **kwargs: Args.kwargs) -> Result:
        args, kwargs = narrow((args, kwargs))
        if jnp.result_type(float) == jnp.float32:
            return function(*args, **kwargs)
        if not hasattr(jax, "enable_x64"):
            raise ValueError(
                "learning computes in float32: unset JAX_ENABLE_X64, or upgrade to jax 0.8"
            )
        with jax.enable_x64(False):
            return function(*args, **kwargs)

    return narrow_function


def narrow(tree: Any) -> Any:
    """A tree with 32-bit numbers for 64-bit ones; whatever is no array stays as it is.

    Examples:
      >>> import numpy as np
      >>> narrow({"nudge": np.array([0.5]), "name": "tree"})["nudge"].dtype
      dtype('float32')
    """

    def of_leaf(leaf: Any) -> Any:
        thin = _NARROWER.get(str(getattr(leaf, "dtype", "")))
        return leaf.astype(thin) if thin else leaf

    return jax.tree.map(of_leaf, tree)
