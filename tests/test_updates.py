"""Gradient steps by any optimiser of optax, against optax used by itself."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxparl.config import Config
from jaxparl.learning import updates

OPTIMISERS = {
    "adam": updates.optimizer(Config(iterations=800), 0.1, 0.01),
    "clipped": updates.optimizer(Config(iterations=800, max_gradient_norm=0.5), 0.1, 0.01),
    "adamw": optax.adamw(0.1, weight_decay=0.1),
    "rmsprop": optax.rmsprop(0.1),
    "sgd": optax.sgd(0.1),
    "momentum": optax.sgd(optax.linear_schedule(0.1, 0.0, 10), momentum=0.9),
    "chain": optax.chain(optax.clip(0.5), optax.add_decayed_weights(0.1), optax.rmsprop(0.1)),
}
# Made by a schedule, as they are handed in.
MAKERS = {
    "adam": updates.adam,
    "adamw": optax.adamw,
    "rmsprop": optax.rmsprop,
    "chain": lambda schedule: optax.chain(optax.clip(0.5), optax.adamw(schedule)),
    "injected": lambda schedule: optax.inject_hyperparams(optax.adamw)(learning_rate=schedule),
    "by weight": lambda schedule: optax.multi_transform(
        {"fast": optax.adam(schedule), "slow": optax.sgd(schedule)},
        {"kernel": "fast", "bias": "slow"},
    ),
    "if finite": lambda schedule: optax.apply_if_finite(optax.adam(schedule), 3),
    # It counts the steps that it takes.
    "every fourth": lambda schedule: optax.MultiSteps(optax.adam(lambda n: schedule(4 * n)), 4),
}
START = {"kernel": np.float32([2.0, -3.0]), "bias": np.float32(1.0)}


def loss(params):
    return jnp.sum(params["kernel"] ** 2) + params["bias"] ** 4, None


@pytest.mark.parametrize("name", OPTIMISERS)
def test_steps_are_those_of_optax(name):
    optimiser = OPTIMISERS[name]
    state = updates.init(jax.tree.map(jnp.asarray, START), optimiser)
    params, optimiser_state = state.params, state.optimizer_state
    for iteration in range(3):
        counted = updates.with_count(state, iteration)
        assert jax.tree.structure(counted) == jax.tree.structure(state)
        state, _, _ = updates.gradient_step(counted, optimiser, loss)
        gradient = jax.grad(lambda params: loss(params)[0])(params)
        change, optimiser_state = optimiser.update(gradient, optimiser_state, params)
        params = optax.apply_updates(params, change)
    for found, expected in zip(jax.tree.leaves(state.params), jax.tree.leaves(params), strict=True):
        np.testing.assert_array_equal(found, expected)
    assert (state.params["kernel"] != START["kernel"]).all()


def test_an_optimiser_counts_by_the_loop():
    optimiser = OPTIMISERS["momentum"]
    state = updates.init(jax.tree.map(jnp.asarray, START), optimiser)
    counted = updates.with_count(state, 10)  # where the step size has come to 0
    after, _, _ = updates.gradient_step(counted, optimiser, loss)
    np.testing.assert_array_equal(after.params["kernel"], START["kernel"])


@pytest.mark.parametrize("name", MAKERS)
def test_schedules_fall_and_steps_are_those_of_optax(name):
    config = Config(iterations=60, target_interval=20, evaluation_interval=60)
    optimiser = updates.optimizer(config, 0.1, 1e-3, MAKERS[name])
    start = jax.tree.map(jnp.asarray, START)

    def constant(params):
        return sum(map(jnp.sum, jax.tree.leaves(params))), None

    def ours(state, iteration):
        counted = updates.with_count(state, iteration)
        return updates.gradient_step(counted, optimiser, constant)[0], state.params

    def own(carry, _):
        params, state = carry
        change, state = optimiser.update(jax.tree.map(jnp.ones_like, params), state, params)
        return (optax.apply_updates(params, change), state), params

    @jax.jit
    def run(start):
        _, found = jax.lax.scan(ours, updates.init(start, optimiser), jnp.arange(60))
        _, expected = jax.lax.scan(own, (start, optimiser.init(start)), length=60)
        return found, expected

    found, expected = run(start)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, 1e-6, 1e-6), found, expected)
    steps = np.abs(np.diff(found["bias"]))
    assert 0 < steps[-4:].max() < 0.02 * steps[:4].max()


def counts_of(optimiser, iteration, start=START):
    """All integers of the optimiser's state, where the loop has come to an iteration."""
    state = updates.init(jax.tree.map(jnp.asarray, start), optimiser)
    counted = updates.with_count(state, iteration)
    leaves = jax.tree.leaves(counted.optimizer_state)
    return [int(leaf) for leaf in leaves if leaf.dtype == jnp.int32]


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("adam", [7, 7]),
        ("rmsprop", [7]),
        ("chain", [7, 7]),
        ("injected", [7, 7, 7]),
        ("by weight", [7, 7, 7]),
        # They may leave out steps, and what they hold counts those that were taken.
        ("if finite", [0, 0, 0, 0]),
        ("every fourth", [0, 0, 0, 0]),
    ],
)
def test_all_counts_of_iterations_are_set_and_no_others(name, counts):
    optimiser = updates.optimizer(Config(), 0.1, 1e-3, MAKERS[name])
    assert counts_of(optimiser, 7) == counts


def test_a_weight_that_is_called_count_is_none():
    state = updates.init({"count": jnp.float32(1.0)}, updates.adam(0.1))
    state, _, _ = updates.gradient_step(state, updates.adam(0.1), lambda x: (x["count"] ** 2, None))
    moments = updates.with_count(state, 7).optimizer_state[0]
    assert int(moments.count) == 7
    assert moments.mu == state.optimizer_state[0].mu != {"count": 0}


def test_gradients_are_clipped_before_any_optimiser():
    config = Config(max_gradient_norm=0.5)
    optimiser = updates.optimizer(config, 0.1, 0.1, optax.sgd)
    state = updates.init(jnp.array([3.0, 4.0]), optimiser)
    after, _, _ = updates.gradient_step(state, optimiser, lambda x: (jnp.sum(x**2), None))
    np.testing.assert_allclose(state.params - after.params, [0.03, 0.04], rtol=1e-5)
