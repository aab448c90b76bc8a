"""Structures of arrays as a reader wants to see them: their shapes, or the range of their values.

What stands in for an array has a shape, too: a tracer, or a `jax.ShapeDtypeStruct`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jax.core import Tracer


def by_shape(self: Any) -> str:
    """A `__repr__` of a dataclass of arrays: by dtype and shape, a single number as it is.

    Examples:
      >>> from jaxparl.types import Contract
      >>> print(by_shape(Contract(np.zeros(3, np.float32), np.float32(0.25), np.bool_(True))))
      Contract(payments=float32[3], expected_payment=0.25, implementable=True)
    """
    shown = ", ".join(f"{name}={_shape(value)}" for name, value in _fields(self).items())
    return f"{type(self).__name__}({shown})"


def by_range(metrics: Any, *, is_history: bool = False) -> str:
    """A line for each field of a dataclass: its values, from the least to the greatest.

    Args:
      metrics: of one evaluation, `[...]` each.
      is_history: whether it is of several evaluations, `[..., evaluations]`; the last one counts.

    Examples:
      >>> from jaxparl.types import Contract
      >>> payments, share = np.array([[0.0, 1.0], [0.0, 2.5]]), np.array([0.5, 0.25])
      >>> print(by_range(Contract(payments, share, share), is_history=True))
        payments          1 to 2.5
        expected_payment  0.25
        implementable     0.25
    """
    fields = _fields(metrics)
    width = max(map(len, fields))
    return "\n".join(
        f"  {name:{width}}  {_range(value, is_history)}" for name, value in fields.items()
    )


def _fields(structure: Any) -> dict[str, Any]:
    return {field.name: getattr(structure, field.name) for field in dataclasses.fields(structure)}


def _has_numbers(value: Any) -> bool:
    is_array = isinstance(value, np.ndarray | np.generic | jax.Array)
    return is_array and not isinstance(value, Tracer)


def _shape(value: Any) -> str:
    if isinstance(value, Mapping):  # of networks
        leaves = jax.tree.leaves(value)
        return f"<{sum(map(np.size, leaves)):,} numbers in {len(leaves)} arrays>"
    if not hasattr(value, "shape"):
        return repr(value)
    if value.shape == () and _has_numbers(value):
        return _number(value.item())
    return f"{value.dtype}{list(value.shape)}"


def _range(value: Any, is_history: bool) -> str:
    if not _has_numbers(value):
        return _shape(value)
    numbers = np.asarray(value)
    numbers = numbers[..., -1] if is_history and numbers.ndim else numbers
    # Where a metric is undefined it is NaN.
    found = numbers[np.isfinite(numbers)]
    ends = [found.min().item(), found.max().item()] if found.size else [np.nan]
    return " to ".join(dict.fromkeys(map(_number, ends)))


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
