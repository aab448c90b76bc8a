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

_RUNS, _WEIGHTS = 4, 10_000
# XLA keeps less than this per iteration, in bytes, where it keeps nothing.
_NOTHING = 2_000


def nested_scans() -> Finding:
    """XLA-05: selections of all weights, with nested scans and with a condition on a counter."""
    interval = 10

    def by_scans(weights: jax.Array) -> jax.Array:
        def period(state, _):
            online, _ = state
            moved = jax.lax.scan(lambda w, _: (0.9 * w, None), online, None, length=interval)[0]
            return (moved, moved), None

        return jax.lax.scan(period, (weights, weights), None, length=3)[0][1]

    def by_condition(weights: jax.Array) -> jax.Array:
        def iterate(state, _):
            online, target, count = state
            online, count = 0.9 * online, count + 1
            is_due = count % interval == 0
            target = jax.lax.cond(is_due, lambda: online, lambda: target)
            return (online, target, count), None

        start = (weights, weights, jnp.int32(0))
        return jax.lax.scan(iterate, start, None, length=3 * interval)[0][1]

    def selections(of_run) -> int:
        # The counter is part of a run's state, so `vmap` over runs gives it an axis.
        program = str(jax.make_jaxpr(jax.vmap(of_run))(jnp.ones((_RUNS, _WEIGHTS))))
        return len(re.findall(rf":f32\[{_RUNS},{_WEIGHTS}\] = select_n", program))

    return counted(
        "selections of all weights in an iteration",
        with_it=selections(by_scans),
        without=selections(by_condition),
    )


def _kept_bytes(iterations: int) -> int:
    """What a call keeps, in bytes, that goes through a loop of products on every device."""
    mesh = Mesh(np.array(jax.devices()), ("runs",))
    spec = PartitionSpec("runs")
    inputs = jnp.ones((128, 256))

    def loss(weights):
        return jnp.sum(jax.nn.relu(jax.nn.relu(inputs @ weights + 1.0) @ weights) ** 2)

    def learn(weights):
        def step(w, _):
            return w - 1e-6 * jax.grad(loss)(w), None

        return jax.lax.scan(step, weights[0], None, length=iterations)[0][None]

    sharded = jax.shard_map(learn, mesh=mesh, in_specs=spec, out_specs=spec)
    weights = jnp.full((mesh.size, 256, 256), 1e-3)
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


def unrolled() -> Finding:
    """XLA-15: steps of the Coin Game, its loops over agents unrolled and not."""
    env, count = small_runs.board(), 8
    params = env.default_params

    def steps(unroll: int):
        reset = jax.vmap(lambda key: env.reset_env(key, params)[1])
        state = reset(jax.random.split(jax.random.key(0), count))

        def step_one(key, state):
            # Without its own `jit`, which would remember what it compiled.
            return type(env).step.__wrapped__(env, key, state, jnp.zeros(2, jnp.int32), params)[1]

        def step(state, number):
            keys = jax.random.split(jax.random.fold_in(jax.random.key(1), number), count)
            return jax.vmap(step_one)(keys, state)

        with mock.patch.object(rules, "_UNROLLED", unroll):
            compiled = compiled_loop(step, state, 200)
        return lambda: compiled(state)

    with_it, without = seconds_in_turns(steps(rules._UNROLLED), steps(1))
    what = f"a step of {count} environments"
    return faster(what, with_it=with_it / 200, without=without / 200)
