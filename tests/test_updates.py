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
