"""Updates that principal, agents and outcome model share: a gradient step, moving targets."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike

from jaxparl.config import Config
from jaxparl.types import PyTree, TrainState

# Targets are deterministic where critics are per outcome, so errors, and gradients, go to zero.
# With optax' 1e-8 Adam would blow the last of them up to steps of full size, and the weights
# would never come to rest.
_ADAM_EPSILON = 1e-6

#: What a loss makes of every error, both 1/2 error^2 near zero.
LOSSES: dict[str, Callable[[jax.Array], jax.Array]] = {
    "squared": optax.l2_loss,
    "huber": optax.huber_loss,
}


def optimizer(config: Config, first: ArrayLike, last: ArrayLike) -> optax.GradientTransformation:
    """Adam, its step size falling exponentially from `first` to `last`."""

    def learning_rate(iteration: ArrayLike) -> ArrayLike:
        return first * (last / first) ** (iteration / config.iterations)

    adam = optax.adam(learning_rate, eps=_ADAM_EPSILON)
    if config.max_gradient_norm is None:
        return adam
    return optax.chain(optax.clip_by_global_norm(config.max_gradient_norm), adam)


def init(params: PyTree, optimize: optax.GradientTransformation) -> TrainState:
    """What is trained, around fresh weights; the target weights start as a copy."""
    target = jax.tree.map(lambda leaf: leaf.copy(), params)
    return TrainState(params=params, target_params=target, optimizer_state=optimize.init(params))


def with_count(state: TrainState, iteration: jax.Array | int) -> TrainState:
    """Sets the optimiser's count of steps to the loop's counter, which is the same number.

    A counter of its own would have a run axis under `vmap`. XLA divides by one number otherwise
    than by several, so how Adam rounds would depend on how many runs are computed side by side.
    What does not divide by its count, as the outcome model's plain descent, needs none of this.
    """
    count = jnp.asarray(iteration, jnp.int32)
    counting = optax.tree_utils.tree_set(state.optimizer_state, count=count)
    return dataclasses.replace(state, optimizer_state=counting)


def gradient_step(
    state: TrainState,
    optimize: optax.GradientTransformation,
    loss: Callable[[PyTree], tuple[jax.Array, Any]],
) -> tuple[TrainState, jax.Array, Any]:
    """One step down `loss(params) -> (loss, aux)`; returns the new state, the loss and aux."""
    (value, aux), gradient = jax.value_and_grad(loss, has_aux=True)(state.params)
    updates, optimizer_state = optimize.update(gradient, state.optimizer_state)
    params = optax.apply_updates(state.params, updates)
    return dataclasses.replace(state, params=params, optimizer_state=optimizer_state), value, aux


def moved(
    config: Config, target: PyTree, online: PyTree, window: float, iteration: jax.Array | int
) -> PyTree:
    """Target weights after the `target_interval` iterations that end with `iteration`.

    With a window of 0 they become a copy of the online weights, as in the paper. Otherwise they
    are an average that grows with progress, to the window's share of all iterations in the end.
    """
    progress = (iteration + 1) / config.iterations
    updates = window * progress * (iteration + 1) / config.target_interval
    return optax.incremental_update(online, target, 1.0 / jnp.maximum(updates, 1.0))


def move_target(
    config: Config, state: TrainState, window: float, iteration: jax.Array | int
) -> TrainState:
    """The same state with its target weights moved, see `moved`."""
    target = moved(config, state.target_params, state.params, window, iteration)
    return dataclasses.replace(state, target_params=target)
