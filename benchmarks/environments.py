"""How fast are the environments alone, and beside JaxMARL's Coin Game?

    pip install jaxmarl        (for the last rows; without it they are left out)
    python benchmarks/environments.py [--out results.json]

Every registered environment with its default settings, and the Coin Game on 3x3: steps of E
environments at once with given random actions, automatic resets, and every observation read, in a
compiled scan. JaxMARL's Coin Game from PyPI runs in the same process, alternating with ours, with
the same number of environments, steps in an episode and planes per agent. Exits with 1 if a bar is
missed.
"""

from __future__ import annotations

import importlib.util
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from report_card import Row, compile_everything, parse_options, report

from jaxparl.envs import REGISTRY, make

ENVIRONMENTS = 1024
STEPS = 200
REPEATS = 7
EPISODE = 20
BAR = 3.0


class Timed(NamedTuple):
    """What is timed: `start(key) -> state`, `step(key, state, actions [N]) -> (seen, state)`."""

    name: str
    num_agents: int
    num_actions: int
    start: Callable[..., Any]
    step: Callable[..., tuple[Any, Any]]


def ours(name: str, label: str, **settings: Any) -> Timed:
    env, params = make(name, **settings)

    def step(key, state, action):
        observation, after, *_ = env.step(key, state, action, params)
        return observation, after

    def start(key):
        return env.reset_env(key, params)[1]

    return Timed(label, env.num_agents, env.num_actions, start, step)


def jaxmarls() -> Timed:
    from jaxmarl.environments.coin_game import CoinGame

    env = CoinGame(num_inner_steps=EPISODE, num_outer_steps=1, cnn=True)

    def step(key, state, action):
        observation, after, *_ = env.step(key, state, {"0": action[0], "1": action[1]})
        return observation, after

    return Timed("JaxMARL's Coin Game, 3x3", 2, 4, lambda key: env.reset(key)[1], step)


class Loop(NamedTuple):
    """A compiled loop over an environment: `run() -> seconds`."""

    timed: Timed
    run: Callable[[], float]
    compile_seconds: float


def compile_loop(timed: Timed) -> Loop:
    key_start, key_actions, key_loop = jax.random.split(jax.random.key(0), 3)
    state = jax.jit(jax.vmap(timed.start))(jax.random.split(key_start, ENVIRONMENTS))  # over E
    shape = (STEPS, ENVIRONMENTS, timed.num_agents)
    actions = jax.random.randint(key_actions, shape, 0, timed.num_actions)

    def one(carry, given):
        state, seen = carry
        key, action = given
        keys = jax.random.split(key, ENVIRONMENTS)
        observation, state = jax.vmap(timed.step)(keys, state, action)  # over E
        # Somebody looks at all of it: an observation that nobody reads is never made.
        read = sum(jnp.sum(leaf.astype(jnp.float32)) for leaf in jax.tree.leaves(observation))
        return (state, seen + read), None

    def loop(state, actions, key):
        carry, _ = jax.lax.scan(one, (state, 0.0), (jax.random.split(key, STEPS), actions))
        return carry

    start = time.perf_counter()
    compiled = jax.jit(loop).lower(state, actions, key_loop).compile()
    compile_seconds = time.perf_counter() - start

    def run() -> float:
        start = time.perf_counter()
        jax.block_until_ready(compiled(state, actions, key_loop))
        return time.perf_counter() - start

    run()
    return Loop(timed, run, compile_seconds)


def main() -> int:
    options = parse_options(__doc__)
    compile_everything()
    compared = ours("coin_game", "coin_game, 3x3", grid_size=3, max_steps_in_episode=EPISODE)
    everything = [compared, *(ours(name, f"{name}, default settings") for name in REGISTRY)]
    if importlib.util.find_spec("jaxmarl") is not None:
        everything.append(jaxmarls())
    loops = [compile_loop(timed) for timed in everything]
    # In turns, so that whatever else the machine does falls on all alike.
    seconds = np.array([[loop.run() for loop in loops] for _ in range(REPEATS)])
    rates = STEPS * ENVIRONMENTS / np.median(seconds, axis=0)
    rows = [
        Row(
            f"{loop.timed.name}: environment steps/s, {ENVIRONMENTS:,} at once",
            f"{rate:,.0f} (compiled in {loop.compile_seconds:.1f} s)",
            "",
            None,
            {"steps_per_second": rate},
        )
        for loop, rate in zip(loops, rates, strict=True)
    ]
    if len(everything) > len(REGISTRY) + 1:
        ratio = rates[0] / rates[-1]
        rows.append(
            Row("ours over JaxMARL's, 3x3", f"{ratio:.1f}", f">= {BAR:g}", bool(ratio >= BAR))
        )
    return report(rows, options.out)


if __name__ == "__main__":
    sys.exit(main())
