"""Greedy play: what learned weights offer, everywhere or along episodes."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxparl import lockstep
from jaxparl.config import Rates
from jaxparl.environment import Game, GameParams
from jaxparl.lockstep import Learner
from jaxparl.run_state import Weights
from jaxparl.types import Offer, PyTree

# Boards of a large game, all at once, would not fit into a cache.
_STATES_AT_ONCE = 2048


def in_every_state(env: Game, of_state: Callable[[PyTree], PyTree]) -> PyTree:
    """What a function of one state of the game says in all of them: adds a leading axis `S`."""
    # over S
    return jax.lax.map(of_state, env.tabular_states(), batch_size=_STATES_AT_ONCE)


def learned_offers(
    learner: Learner, game_params: GameParams, rates: Rates, weights: Weights
) -> Offer:
    """What these weights recommend and pay in every state, `[S, N]`, if all follow."""
    all_follow = jnp.ones(learner.env.num_agents, bool)

    def offer(game: PyTree) -> Offer:
        return lockstep.offer(learner, game_params, rates, weights, game, all_follow)

    return in_every_state(learner.env, offer)


def asked_payments(offered: Offer) -> jax.Array:
    """What following pays, `[..., N]`: the payment for the recommendation, an observed action."""
    asked = offered.recommendation[..., None]
    return jnp.take_along_axis(offered.contract.payments, asked, axis=-1)[..., 0]


class Episode(NamedTuple):
    """An episode on its way: where it stands, and what it has brought so far."""

    game: PyTree
    is_over: jax.Array
    principal_reward: jax.Array
    agent_reward: jax.Array
    payment: jax.Array


def play_episode(
    learner: Learner, game_params: GameParams, rates: Rates, weights: Weights, key: jax.Array
) -> Episode:
    """Plays one episode in which all follow; its sums are `[N]`, undiscounted."""
    env = learner.env
    key_reset, key_steps = jax.random.split(key)
    all_follow = jnp.ones(env.num_agents, bool)
    nothing = jnp.zeros(env.num_agents)

    def step(episode: Episode) -> Episode:
        offered = lockstep.offer(learner, game_params, rates, weights, episode.game, all_follow)
        _, _, reward, terminated, truncated, info = env.step(
            jax.random.fold_in(key_steps, episode.game.time),
            episode.game,
            offered.recommendation,
            game_params,
        )
        outcome = info["outcome"][:, None]
        paid = jnp.take_along_axis(offered.contract.payments, outcome, axis=-1)[:, 0]
        return Episode(
            game=info["next_state"],
            is_over=terminated | truncated,
            principal_reward=episode.principal_reward + info["principal_reward"],
            agent_reward=episode.agent_reward + reward,
            payment=episode.payment + paid,
        )

    _, game = env.reset_env(key_reset, game_params)
    start = Episode(game, jnp.bool_(False), nothing, nothing, nothing)
    return jax.lax.while_loop(lambda episode: ~episode.is_over, step, start)
