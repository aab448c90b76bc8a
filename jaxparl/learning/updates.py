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


def adam(schedule: optax.ScalarOrSchedule) -> optax.GradientTransformation:
    """Adam, with an epsilon for errors that go to zero.

    Examples:
      >>> step, _ = adam(0.5).update(jnp.array([2.0]), adam(0.5).init(jnp.zeros(1)))
      >>> print(step.round(3))
      [-0.5]
    """
    return optax.adam(schedule, eps=_ADAM_EPSILON)


def optimizer(
    config: Config,
    first: ArrayLike,
    last: ArrayLike,
    make: Callable[[optax.Schedule], optax.GradientTransformation] = adam,
) -> optax.GradientTransformation:
    """An optimiser whose step size falls exponentially from `first` to `last`, by default Adam.

    Args:
      config: how many iterations there are, and how long gradients may be.
      first: `[]`, the step size in the first iteration.
      last: `[]`, the same after the last one.
      make: makes the optimiser for a schedule.

    Examples:
      >>> falling = optimizer(Config(), first=0.5, last=0.125)
      >>> step, _ = falling.update(jnp.array([2.0, -3.0]), falling.init(jnp.zeros(2)))
      >>> print(step.round(3))
      [-0.5  0.5]
    """

    def learning_rate(iteration: ArrayLike) -> ArrayLike:
        return first * (last / first) ** (iteration / config.iterations)

    made = make(learning_rate)
    if config.max_gradient_norm is None:
        return made
    return optax.chain(optax.clip_by_global_norm(config.max_gradient_norm), made)


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
    and one that keeps no count stays as it is. So does whatever is below a state that counts in
    its own way, as those of `optax.MultiSteps` and `optax.apply_if_finite` do: it need not take a
    step in every iteration.

    Examples:
      >>> state = with_count(init(jnp.ones(2), optimizer(Config(), 0.5, 0.125)), iteration=7)
      >>> int(optax.tree_utils.tree_get(state.optimizer_state, "ScaleByAdamState").count)
      7
    """
    # XLA-06, see docs/xla.md.
    count = jnp.asarray(iteration, jnp.int32)
    counting = _with_count(state.optimizer_state, count)
    return dataclasses.replace(state, optimizer_state=counting)


def _with_count(state: Any, count: jax.Array) -> Any:
    """The state of an optimiser, or a part of it, with its counts of steps set."""
    if isinstance(state, dict):
        return {name: _with_count(part, count) for name, part in state.items()}
    if not isinstance(state, tuple):
        return state
    if not hasattr(state, "_fields"):
        return tuple(_with_count(part, count) for part in state)
    fields: dict[str, Any] = state._asdict()  # pyright: ignore[reportAttributeAccessIssue]
    counters = {name for name, part in fields.items() if _is_counter(part)}
    if counters - {"count"}:
        return state
    parts = {
        name: count if name in counters else _with_count(part, count)
        for name, part in fields.items()
    }
    return type(state)(**parts)


def _is_counter(part: Any) -> bool:
    return getattr(part, "shape", None) == () and jnp.issubdtype(part.dtype, jnp.integer)


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
