"""Updates that principal, agents and outcome model share: gradient steps and target networks."""

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

# With critics per outcome the targets are deterministic, so errors and gradients go to zero. With
# optax' default of 1e-8, Adam would scale the last small gradients up to full steps, and the
# weights would never settle.
_ADAM_EPSILON = 1e-6

#: The loss of an error, by name. Both are 1/2 error^2 near zero.
LOSSES: dict[str, Callable[[jax.Array], jax.Array]] = {
    "squared": optax.l2_loss,
    "huber": optax.huber_loss,
}


def optimizer(config: Config, first: ArrayLike, last: ArrayLike) -> optax.GradientTransformation:
    """Adam, whose step size falls exponentially from `first` to `last`.

    Examples:
      >>> adam = optimizer(Config(), first=0.5, last=0.125)
      >>> step, _ = adam.update(jnp.array([2.0, -3.0]), adam.init(jnp.zeros(2)))
      >>> print(step.round(3))
      [-0.5  0.5]
    """

    def learning_rate(iteration: ArrayLike) -> ArrayLike:
        return first * (last / first) ** (iteration / config.iterations)

    adam = optax.adam(learning_rate, eps=_ADAM_EPSILON)
    if config.max_gradient_norm is None:
        return adam
    return optax.chain(optax.clip_by_global_norm(config.max_gradient_norm), adam)


def init(params: PyTree, optimize: optax.GradientTransformation) -> TrainState:
    """The state of a learner with fresh weights; its target weights start as a copy.

    Examples:
      >>> state = init(jnp.ones(2), optax.sgd(0.1))
      >>> print(state.params, state.target_params)
      [1. 1.] [1. 1.]
    """
    target = jax.tree.map(lambda leaf: leaf.copy(), params)
    return TrainState(params=params, target_params=target, optimizer_state=optimize.init(params))


def with_count(state: TrainState, iteration: jax.Array | int) -> TrainState:
    """Sets the optimiser's count of steps to the loop's counter, which is the same number.

    The optimiser's own counter has a run axis under `vmap`. XLA divides by an array differently
    than by a scalar, so Adam's rounding would depend on how many runs are computed side by side.
    An optimiser that does not divide by its count, such as the outcome model's, does not need this,
    and one that keeps no count stays as it is.

    Examples:
      >>> state = with_count(init(jnp.ones(2), optimizer(Config(), 0.5, 0.125)), iteration=7)
      >>> int(optax.tree_utils.tree_get(state.optimizer_state, "ScaleByAdamState").count)
      7
    """
    # XLA-06, see docs/xla.md.
    if not optax.tree_utils.tree_get_all_with_path(state.optimizer_state, "count"):
        return state
    count = jnp.asarray(iteration, jnp.int32)
    counting = optax.tree_utils.tree_set(state.optimizer_state, count=count)
    return dataclasses.replace(state, optimizer_state=counting)


def gradient_step(
    state: TrainState,
    optimize: optax.GradientTransformation,
    loss: Callable[[PyTree], tuple[jax.Array, Any]],
) -> tuple[TrainState, jax.Array, Any]:
    """Takes one step of gradient descent.

    Args:
      state: of the learner.
      optimize: its optimiser.
      loss: `params -> (loss [], aux)`.

    Returns:
      The new state, and the loss and `aux` from before the step.

    Examples:
      >>> descent = optax.sgd(0.25)
      >>> state = init(jnp.array([2.0]), descent)
      >>> state, loss, _ = gradient_step(state, descent, lambda x: (jnp.sum(x**2), None))
      >>> print(state.params, loss)
      [1.] 4.0
    """
    (value, aux), gradient = jax.value_and_grad(loss, has_aux=True)(state.params)
    # optax relies on the usual promotion, of counts to floats.
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        updates, optimizer_state = optimize.update(gradient, state.optimizer_state, state.params)
    params = optax.apply_updates(state.params, updates)
    return dataclasses.replace(state, params=params, optimizer_state=optimizer_state), value, aux


def moved(
    config: Config, target: PyTree, online: PyTree, window: float, iteration: jax.Array | int
) -> PyTree:
    """Target weights after the `target_interval` iterations that end with `iteration`.

    With a window of 0 they are a copy of the online weights, as in the paper. Otherwise they are a
    running average over a share of the iterations so far. The share grows linearly to `window`.

    Examples:
      >>> config = Config(iterations=1000, target_interval=100, evaluation_interval=500)
      >>> shares = [moved(config, 0.0, 1.0, 0.4, last) for last in (99, 499, 999)]
      >>> [float(share) for share in shares]  # of the online weights in the average
      [1.0, 1.0, 0.25]
    """
    passed = jnp.asarray(iteration + 1, jnp.float32)
    updates = window * (passed / config.iterations) * passed / config.target_interval
    return optax.incremental_update(online, target, 1.0 / jnp.maximum(updates, 1.0))


def move_target(
    config: Config, state: TrainState, window: float, iteration: jax.Array | int
) -> TrainState:
    """Moves the target weights of a learner; see `moved`.

    Examples:
      >>> state = dataclasses.replace(init(jnp.ones(2), optax.sgd(0.1)), params=jnp.zeros(2))
      >>> print(move_target(Config(), state, window=0.0, iteration=99).target_params)
      [0. 0.]
    """
    target = moved(config, state.target_params, state.params, window, iteration)
    return dataclasses.replace(state, target_params=target)
