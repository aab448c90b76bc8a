"""What the programs that check a game have in common: each is small, and runs once."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

#: Starts of episodes that are drawn.
NUM_STARTS = 1_024


def quick_to_compile() -> dict[str, str | bool]:
    """Options for a program that runs once, and briefly: compile time matters more than run time.

    There are none but on a CPU: the compiler for GPUs does not support this one.
    """
    # XLA-09, see docs/xla.md.
    return {"xla_backend_optimization_level": "0"} if jax.default_backend() == "cpu" else {}


def compiled_quickly(function: Callable[..., Any]) -> Callable[..., Any]:
    """`jax.jit` with those options; the first argument is static.

    Which backend there is, is asked at the first call: importing a module starts none.
    """

    @functools.cache
    def compiled() -> Callable[..., Any]:
        return jax.jit(function, static_argnums=0, compiler_options=quick_to_compile())

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        return compiled()(*args, **kwargs)

    return call


def random_numbers(count: int, seed: int = 0) -> np.ndarray:
    """The data of so many keys, `[count, ...]`, for `jax.random.wrap_key_data`.

    They are drawn here, as a program that splits keys takes longer to compile than the rules.
    """
    data = jax.eval_shape(lambda: jax.random.key_data(jax.random.key(0)))
    rng = np.random.default_rng(seed)
    return rng.integers(0, 2**32, (count, *data.shape), dtype=np.uint32)
