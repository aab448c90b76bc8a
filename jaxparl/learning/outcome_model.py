"""What the principal believes an action leads to: the game's own matrix, or a learned one.

Where the outcome distribution is unknown it is learned as a classifier O(o | s, a) from the
same replay (section 4 of the paper). Contracts are priced with whatever is returned here.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple, Protocol

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike

from jaxparl.learning import updates
from jaxparl.learning.problem import Problem
from jaxparl.learning.replay import Batch
from jaxparl.types import PyTree, TrainState

_MOMENTUM = 0.9
# What is left of the step size in the last iteration; it decays exponentially.
_FINAL_SHARE = 0.1


class OutcomeModel(Protocol):
    """The principal's model of outcomes."""

    def init(self, key: jax.Array, observation: PyTree) -> TrainState:
        """Fresh weights; consumes `key`. Of `observation` `[N, ...]` only the shape counts."""
        ...

    def probs(self, params: PyTree, env_state: PyTree, observation: PyTree) -> jax.Array:
        """The distributions O(s, a)(o), `[N, A, O]`, in one state, observed as `[N, ...]`."""
        ...

    def update(
        self, state: TrainState, batch: Batch, observation: PyTree
    ) -> tuple[TrainState, jax.Array]:
        """Takes a gradient step; returns the loss `[]`, too. `observation` is `[B, N, ...]`."""
        ...


class KnownOutcomes(NamedTuple):
    """The game's own outcome matrix; there is nothing to learn."""

    problem: Problem

    def init(self, key: jax.Array, observation: PyTree) -> TrainState:
        """No weights."""
        del key, observation
        return TrainState(params=(), target_params=(), optimizer_state=())

    def probs(self, params: PyTree, env_state: PyTree, observation: PyTree) -> jax.Array:
        """`[N, A, O]`, those of the game."""
        del params, observation
        return self.problem.env.outcome_probs(env_state, self.problem.env_params)

    def update(
        self, state: TrainState, batch: Batch, observation: PyTree
    ) -> tuple[TrainState, jax.Array]:
        """The same state, and a loss of 0."""
        del batch, observation
        return state, jnp.float32(0.0)


class LearnedOutcomes(NamedTuple):
    """A classifier, trained by cross-entropy on the outcomes in replay; see `learned`."""

    problem: Problem
    network: nn.Module
    optimizer: optax.GradientTransformation

    def init(self, key: jax.Array, observation: PyTree) -> TrainState:
        """Fresh weights. A classifier does not bootstrap, so it needs no target network."""
        weights = self.network.init(key, observation, self.problem.numbers())
        fresh = updates.init(weights, self.optimizer)
        return dataclasses.replace(fresh, target_params=())

    def probs(self, params: PyTree, env_state: PyTree, observation: PyTree) -> jax.Array:
        """`[N, A, O]`, as learned so far."""
        del env_state
        return jax.nn.softmax(self._logits(params, observation, self.problem.numbers()))

    def update(
        self, state: TrainState, batch: Batch, observation: PyTree
    ) -> tuple[TrainState, jax.Array]:
        """Takes a gradient step on the cross-entropy."""
        action, outcome = batch.transition.action, batch.transition.outcome
        numbers = self.problem.numbers(*action.shape[:-1])

        def loss(params: PyTree) -> tuple[jax.Array, None]:
            taken = action[..., None, None]
            logits = self._logits(params, observation, numbers)
            chosen = jnp.take_along_axis(logits, taken, axis=-2)[..., 0, :]
            cross_entropy = optax.softmax_cross_entropy_with_integer_labels(chosen, outcome)
            return jnp.mean(cross_entropy), None

        state, value, _ = updates.gradient_step(state, self.optimizer, loss)
        return state, value

    def _logits(self, params: PyTree, observation: PyTree, numbers: jax.Array) -> jax.Array:
        env = self.problem.env
        outputs = jnp.asarray(self.network.apply(params, observation, numbers))
        return outputs.reshape(*outputs.shape[:-1], env.num_actions, env.num_outcomes)


def known(problem: Problem) -> OutcomeModel:
    """The game's own outcome matrix."""
    return KnownOutcomes(problem)


def learned(problem: Problem) -> OutcomeModel:
    """A classifier O(o | s, a).

    Plain gradient descent moves a state's row by as much as the state was seen, so rare states
    keep to what all states have in common. Adam gives rare rows steps of full size: they then
    learn the noise of a few draws, and contracts priced on that break.
    """
    config, env = problem.config, problem.env
    first = problem.hyper_params.outcome_learning_rate

    def learning_rate(iteration: ArrayLike) -> ArrayLike:
        return first * _FINAL_SHARE ** (iteration / config.iterations)

    return LearnedOutcomes(
        problem=problem,
        network=problem.make_network(
            config.outcome_hidden_sizes, env.num_actions * env.num_outcomes
        ),
        optimizer=optax.sgd(learning_rate, momentum=_MOMENTUM),
    )


OUTCOME_MODELS = {"known": known, "learned": learned}
