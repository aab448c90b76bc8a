"""How long compiling takes; only where compiled programs are not read from a cache."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import jax
import jax.numpy as jnp

from jaxparl.evaluation.checks.small_programs import quick_to_compile
from xla_checks import small_runs
from xla_checks.finding import Finding, faster, seconds_in_turns


def unoptimised_set_up() -> Finding:
    """XLA-09: compiling the initial state, without optimising and with it."""
    learns, _ = small_runs.one_run(small_runs.BOARD, small_runs.board())

    def compile_init(options: dict[str, str | bool]) -> None:
        lowered = jax.jit(learns.init).lower(jax.random.key(0))
        lowered.compile(compiler_options=options)

    with_it, without = seconds_in_turns(
        partial(compile_init, quick_to_compile()), partial(compile_init, {}), repeats=3
    )
    return faster("compiling the initial state", with_it=with_it, without=without)


def side_by_side() -> Finding:
    """XLA-10: compiling two iterations, by a thread each and one after the other."""
    learns, state = small_runs.one_run(small_runs.TREE, small_runs.tree())

    def compile_both(threads: int) -> None:
        with ThreadPoolExecutor(threads) as pool:
            lowered = [jax.jit(learns.iterate).lower(state, jnp.int32(0)) for _ in range(2)]
            for compiled in [pool.submit(one.compile) for one in lowered]:
                compiled.result()

    with_it, without = seconds_in_turns(
        partial(compile_both, 2), partial(compile_both, 1), repeats=3
    )
    return faster("compiling two programs", with_it=with_it, without=without)
