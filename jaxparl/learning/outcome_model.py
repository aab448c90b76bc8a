"""What the principal believes an action leads to: the game's own matrix, or a learned one.

Where the outcome distribution is unknown it is learned as a classifier O(o | s, a) from the
same replay (section 4 of the paper). Contracts are priced with whatever is returned here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike

from jaxparl.learning import updates
from jaxparl.learning.networks import make_network
from jaxparl.learning.problem import Problem
from jaxparl.learning.replay import Batch
from jaxparl.types import PyTree, TrainState

_MOMENTUM = 0.9
# What is left of the step size in the last iteration; it falls exponentially.
_FINAL_SHARE = 0.1


class OutcomeModel(NamedTuple):
    """The principal's model of outcomes.

    Attributes:
      init: `(key, observation [N, ...]) -> TrainState`.
      probs: `(params, env_state, observation [N, ...]) -> [N, A, O]`.
      update: `(state, batch, observation [B, N, ...]) -> (state, loss)`.
    """

    init: Callable[[jax.Array, jax.Array], TrainState]
    probs: Callable[[PyTree, PyTree, jax.Array], jax.Array]
    update: Callable[[TrainState, Batch, jax.Array], tuple[TrainState, jax.Array]]


def known(problem: Problem) -> OutcomeModel:
    """The game's own outcome matrix; there is nothing to learn."""

    def init(key, observation) -> TrainState:
        del key, observation
        return TrainState(params=(), target_params=(), optimizer_state=())

    def probs(params, env_state, observation):
        del params, observation
        return problem.env.outcome_probs(env_state, problem.env_params)

    def update(state, batch, observation):
        del batch, observation
        return state, jnp.float32(0.0)

    return OutcomeModel(init, probs, update)


def _optimizer(problem: Problem) -> optax.GradientTransformation:
    # Plain gradient descent moves a state's row by as much as the state was seen, so rare states
    # keep to what all states have in common. Adam gives rare rows steps of full size: they then
    # learn the noise of a few draws, and contracts priced on that break.
    first = problem.hyper_params.outcome_learning_rate
    iterations = problem.config.iterations

    def learning_rate(iteration: ArrayLike) -> ArrayLike:
        return first * _FINAL_SHARE ** (iteration / iterations)

    return optax.sgd(learning_rate, momentum=_MOMENTUM)


def learned(problem: Problem) -> OutcomeModel:
    """A classifier, trained by cross-entropy on the outcomes in replay."""
    config, env = problem.config, problem.env
    shape = (env.num_actions, env.num_outcomes)
    space = env.observation_space(problem.env_params)
    network = make_network(space, config.outcome_hidden_sizes, shape[0] * shape[1])
    optimizer = _optimizer(problem)

    def init(key: jax.Array, observation: jax.Array) -> TrainState:
        # A classifier does not bootstrap, so it needs no target network.
        fresh = updates.init(network.init(key, observation), optimizer)
        return dataclasses.replace(fresh, target_params=())

    def logits(params: PyTree, observation: jax.Array) -> jax.Array:
        outputs = jnp.asarray(network.apply(params, observation))
        return outputs.reshape(*outputs.shape[:-1], *shape)

    def probs(params, env_state, observation):
        del env_state
        return jax.nn.softmax(logits(params, observation))

    def update(state: TrainState, batch: Batch, observation: jax.Array):
        action, outcome = batch.transition.action, batch.transition.outcome

        def loss(params):
            taken = action[..., None, None]
            chosen = jnp.take_along_axis(logits(params, observation), taken, axis=-2)[..., 0, :]
            cross_entropy = optax.softmax_cross_entropy_with_integer_labels(chosen, outcome)
            return jnp.mean(cross_entropy), None

        state, value, _ = updates.gradient_step(state, optimizer, loss)
        return state, value

    return OutcomeModel(init, probs, update)


OUTCOME_MODELS = {"known": known, "learned": learned}
