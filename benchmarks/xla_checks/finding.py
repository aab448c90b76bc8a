"""What a check finds, and how two ways to compute the same are compared."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

# A workaround that is faster by less than this can go.
_LEAST_GAIN = 1.05
_REPEATS = 9


class Finding(NamedTuple):
    """Whether a workaround is still needed, and the figures that show it."""

    is_needed: bool
    figures: str


def counted(what: str, *, with_it: int, without: int) -> Finding:
    """Needed where there is more of what is not wanted without the workaround."""
    return Finding(without > with_it, f"{what}: {with_it:,}, without {without:,}")


def faster(what: str, *, with_it: float, without: float) -> Finding:
    """Needed where the workaround takes less time; both times are in seconds."""
    gain = without / with_it
    figures = f"{what}: {_shown(with_it)}, without {_shown(without)} ({gain:.2f} times)"
    return Finding(gain >= _LEAST_GAIN, figures)


def both(one: Finding, other: Finding) -> Finding:
    """Needed where either says so."""
    return Finding(one.is_needed or other.is_needed, f"{one.figures}; {other.figures}")


def seconds_in_turns(*calls: Callable[[], Any], repeats: int = _REPEATS) -> list[float]:
    """The median time of each call, in turns: other load on the machine slows all of them."""
    taken = [[_seconds(call) for call in calls] for _ in range(repeats + 1)]
    # The first call of each warms it up.
    return [float(seconds) for seconds in np.median(taken[1:], axis=0)]


def compiled_loop(step: Callable[[Any, jax.Array], Any], carry: Any, length: int) -> Any:
    """A compiled loop `carry -> carry` over `step(carry, number)`."""

    def one(carry: Any, number: jax.Array) -> tuple[Any, None]:
        return step(carry, number), None

    def loop(carry: Any) -> Any:
        return jax.lax.scan(one, carry, jax.numpy.arange(length))[0]

    return jax.jit(loop).lower(carry).compile()


def _seconds(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    jax.block_until_ready(call())
    return time.perf_counter() - start


def _shown(seconds: float) -> str:
    if seconds >= 1:
        return f"{seconds:.2f} s"
    return f"{1e3 * seconds:.2f} ms" if seconds >= 1e-3 else f"{1e6 * seconds:.1f} us"
