"""What the programs that check a game have in common: each is small, and runs once."""

from __future__ import annotations

import jax
import numpy as np

# XLA-09, see docs/xla.md.
# For a program that runs once, and briefly, compile time matters more than run time.
QUICK_TO_COMPILE: dict[str, str | bool] = {"xla_backend_optimization_level": "0"}

#: Starts of episodes that are drawn.
NUM_STARTS = 1_024


def random_numbers(count: int, seed: int = 0) -> np.ndarray:
    """The data of so many keys, `[count, ...]`, for `jax.random.wrap_key_data`.

    They are drawn here, as a program that splits keys takes longer to compile than the rules.
    """
    data = jax.eval_shape(lambda: jax.random.key_data(jax.random.key(0)))
    rng = np.random.default_rng(seed)
    return rng.integers(0, 2**32, (count, *data.shape), dtype=np.uint32)
