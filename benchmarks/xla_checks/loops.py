"""Loops: conditions, memory that calls keep, batches that leave a rest, unrolled loops."""

from __future__ import annotations

import ctypes
import re
import threading
from functools import partial
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import psutil
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxparl.config import Config
from jaxparl.envs.coin_game import rules
from xla_checks import small_runs
from xla_checks.finding import Finding, compiled_loop, counted, faster, seconds_in_turns

_RUNS, _WEIGHTS, _INTERVAL = 4, 10_000, 10
_WIDTH = 256
_ENVIRONMENTS, _STEPS = 8, 200
# XLA keeps less than this per iteration, in bytes, where it keeps nothing.
_NOTHING = 2_000


def _target_by_scans(weights: jax.Array) -> jax.Array:
    """Target weights that move after each inner scan."""

    def period(state, _):
        online, _ = state
        moved = jax.lax.scan(lambda w, _: (0.9 * w, None), online, None, length=_INTERVAL)[0]
        return (moved, moved), None

    return jax.lax.scan(period, (weights, weights), None, length=3)[0][1]


def _target_by_condition(weights: jax.Array, count: jax.Array) -> jax.Array:
    """The same by a condition on a counter that is part of the state."""

    def iterate(state, _):
        online, target, count = state
        online, count = 0.9 * online, count + 1
        is_due = count % _INTERVAL == 0
        target = jax.lax.cond(is_due, lambda: online, lambda: target)
        return (online, target, count), None

    start = (weights, weights, count)
    return jax.lax.scan(iterate, start, None, length=3 * _INTERVAL)[0][1]


def nested_scans() -> Finding:
    """XLA-05: selections of all weights, with nested scans and with a condition on a counter."""

    def selections(of_run, *of_runs: jax.Array) -> int:
        program = str(jax.make_jaxpr(jax.vmap(of_run))(*of_runs))  # over R
        return len(re.findall(rf":f32\[{_RUNS},{_WEIGHTS}\] = select_n", program))

    weights = jnp.ones((_RUNS, _WEIGHTS))
    return counted(
        "selections of all weights in the program",
        with_it=selections(_target_by_scans, weights),
        # A counter that is part of a run's state has an axis over runs.
        without=selections(_target_by_condition, weights, jnp.zeros(_RUNS, jnp.int32)),
    )


def _gradient_steps(iterations: int, weights: jax.Array) -> jax.Array:
    """Weights `[1, I, I]` after so many steps: a loop of products, forward and backward."""
    inputs = jnp.ones((128, _WIDTH))

    def loss(weights):
        return jnp.sum(jax.nn.relu(jax.nn.relu(inputs @ weights + 1.0) @ weights) ** 2)

    def step(weights, _):
        return weights - 1e-6 * jax.grad(loss)(weights), None

    return jax.lax.scan(step, weights[0], None, length=iterations)[0][None]


def _kept_bytes(iterations: int) -> int:
    """What a call of so many iterations keeps, in bytes, on all devices at once."""
    mesh = Mesh(np.array(jax.devices()), ("runs",))
    spec = PartitionSpec("runs")
    learn = partial(_gradient_steps, iterations)
    sharded = jax.shard_map(learn, mesh=mesh, in_specs=spec, out_specs=spec)
    weights = jnp.full((mesh.size, _WIDTH, _WIDTH), 1e-3)
    weights = jax.device_put(weights, NamedSharding(mesh, spec))
    compiled = jax.jit(sharded).lower(weights).compile()
    jax.block_until_ready(compiled(weights))  # memory of the process grows here for other reasons
    ctypes.CDLL(None).malloc_trim(0)
    return _growth(lambda: jax.block_until_ready(compiled(weights)))


def _growth(call) -> int:
    """By how many bytes the process grows while it is in a call."""
    process, done = psutil.Process(), threading.Event()
    before = most = process.memory_info().rss

    def watch() -> None:
        nonlocal most
        while not done.wait(0.002):
            most = max(most, process.memory_info().rss)

    watching = threading.Thread(target=watch)
    watching.start()
    call()
    done.set()
    watching.join()
    return most - before


def short_calls() -> Finding:
    """XLA-07: what calls of a program keep until they end, short ones and long ones."""
    longest, long = Config().segment_length, 4_000
    ours, plain = _kept_bytes(longest), _kept_bytes(long)
    figures = (
        f"kept by a call of {longest} iterations: {ours / 1e6:.1f} MB, by one of {long:,}: "
        f"{plain / 1e6:.1f} MB"
    )
    return Finding((plain - ours) / (long - longest) > _NOTHING, figures)


def no_rest() -> Finding:
    """XLA-14: how often a function is compiled, in batches that divide all states, and not."""
    kernel, states = jnp.ones((64, 64)), jnp.ones((63, 64))

    def products(at_once: int) -> int:
        mapped = partial(jax.lax.map, lambda x: jnp.tanh(x @ kernel), batch_size=at_once)
        return jax.jit(mapped).lower(states).compile().as_text().count(" dot(")

    return counted("products in the program", with_it=products(21), without=products(32))


def _steps(unroll: int):
    """A compiled loop of steps of the Coin Game, its loops over agents unrolled so often."""
    env = small_runs.board()
    params = env.default_params
    reset = jax.vmap(lambda key: env.reset_env(key, params)[1])
    state = reset(jax.random.split(jax.random.key(0), _ENVIRONMENTS))

    def step_one(key, state):
        # Without its own `jit`, which would remember what it compiled.
        return type(env).step.__wrapped__(env, key, state, jnp.zeros(2, jnp.int32), params)[1]

    def step(state, number):
        key = jax.random.fold_in(jax.random.key(1), number)
        return jax.vmap(step_one)(jax.random.split(key, _ENVIRONMENTS), state)  # over E

    with mock.patch.object(rules, "_UNROLLED", unroll):
        compiled = compiled_loop(step, state, _STEPS)
    return lambda: compiled(state)


def unrolled() -> Finding:
    """XLA-15: steps of the Coin Game, its loops over agents unrolled and not."""
    with_it, without = seconds_in_turns(_steps(rules._UNROLLED), _steps(1))
    what = f"a step of {_ENVIRONMENTS} environments"
    return faster(what, with_it=with_it / _STEPS, without=without / _STEPS)
