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

from jaxparl import players
from jaxparl.config import Config, Rates
from jaxparl.environment import Game
from jaxparl.networks import make_network
from jaxparl.types import PlayerState, PyTree, Transition

_MOMENTUM = 0.9
# What is left of the step size in the last iteration; it falls exponentially.
_FINAL_SHARE = 0.1


class OutcomeModel(NamedTuple):
    """The principal's model of outcomes.

    Attributes:
      init: `(key, observation [N, ...], rates) -> learning state`.
      probs: `(params, state, observation [N, ...], game params) -> [N, A, O]`.
      update: `(learning state, observation [B, N, ...], batch [B], rates) ->
        (learning state, loss)`.
    """

    init: Callable[..., PlayerState]
    probs: Callable[..., jax.Array]
    update: Callable[..., tuple[PlayerState, jax.Array]]


def known(config: Config, env: Game) -> OutcomeModel:
    """The game's own outcome matrix; there is nothing to learn."""
    del config

    def init(key, observation, rates) -> PlayerState:
        del key, observation, rates
        return PlayerState(params=(), target_params=(), optimizer_state=())

    def probs(params, state, observation, game_params):
        del params, observation
        return env.outcome_probs(state, game_params)

    def update(state, observation, batch, rates):
        del observation, batch, rates
        return state, jnp.float32(0.0)

    return OutcomeModel(init, probs, update)


def _optimizer(rates: Rates, iterations: int) -> optax.GradientTransformation:
    # Plain gradient descent moves a state's row by as much as the state was seen, so rare states
    # keep to what all states have in common. Adam gives rare rows steps of full size: they then
    # learn the luck of a few draws, and contracts priced on that break.
    def learning_rate(iteration: ArrayLike) -> ArrayLike:
        return rates.outcome_learning_rate * _FINAL_SHARE ** (iteration / iterations)

    return optax.sgd(learning_rate, momentum=_MOMENTUM)


def learned(config: Config, env: Game) -> OutcomeModel:
    """A classifier, trained by cross-entropy on the outcomes in replay."""
    shape = (env.num_actions, env.num_outcomes)
    network = make_network(
        env.observation_space(env.default_params),
        config.outcome_hidden_sizes,
        env.num_actions * env.num_outcomes,
    )

    def init(key: jax.Array, observation: jax.Array, rates: Rates) -> PlayerState:
        params = network.init(key, observation)
        optimize = _optimizer(rates, config.iterations)
        # A classifier bootstraps from nothing, so it needs no target network.
        return dataclasses.replace(players.init(params, optimize), target_params=())

    def logits(params: PyTree, observation: jax.Array) -> jax.Array:
        outputs = jnp.asarray(network.apply(params, observation))
        return outputs.reshape(*outputs.shape[:-1], *shape)

    def probs(params, state, observation, game_params):
        del state, game_params
        return jax.nn.softmax(logits(params, observation))

    def update(state: PlayerState, observation: jax.Array, batch: Transition, rates: Rates):
        def loss(params):
            taken = batch.action[..., None, None]
            chosen = jnp.take_along_axis(logits(params, observation), taken, axis=-2)[..., 0, :]
            cross_entropy = optax.softmax_cross_entropy_with_integer_labels(chosen, batch.outcome)
            return jnp.mean(cross_entropy), None

        optimize = _optimizer(rates, config.iterations)
        state, value, _ = players.gradient_step(state, optimize, loss)
        return state, value

    return OutcomeModel(init, probs, update)


OUTCOME_MODELS = {"known": known, "learned": learned}
