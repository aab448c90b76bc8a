"""Greedy play: what learned weights offer, everywhere or along episodes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxparl import lockstep
from jaxparl.config import Rates
from jaxparl.environment import Game, GameParams
from jaxparl.lockstep import Learner
from jaxparl.run_state import Weights
from jaxparl.types import Offer, PyTree

# Boards of a large game, all at once, would not fit into a cache.
_STATES_AT_ONCE = 4096


def in_every_state(env: Game, of_state: Callable[[PyTree], PyTree]) -> PyTree:
    """What a function of one state of the game says in all of them: adds a leading axis `S`."""
    states = env.tabular_states()
    count = len(jax.tree.leaves(states)[0])
    # As many as divide them all, if possible: a rest would be compiled as a program of its own.
    most = min(count, _STATES_AT_ONCE)
    at_once = next((size for size in range(most, most // 2, -1) if count % size == 0), most)
    return jax.lax.map(of_state, states, batch_size=at_once)  # over S


def follow_sets(num_agents: int) -> np.ndarray:
    """`[M, N]` bool, all sets of agents that may follow, M = 2^N: bit i of m is agent i's."""
    return (np.arange(2**num_agents)[:, None] >> np.arange(num_agents)) % 2 == 1


def standing_offer(
    learner: Learner, game_params: GameParams, rates: Rates, weights: Weights, game: PyTree
) -> Offer:
    """What a trained principal offers in one state, to stand whatever the others do.

    Each agent is paid the largest of its contracts over f_{-i}: whether it follows is then not a
    question of who else will (section 5.2 of the paper asks for dominant strategies).
    """
    sets = follow_sets(learner.env.num_agents)
    # Where an even number stays away: these sets show each agent every f_{-i} once.
    sets = sets[(~sets).sum(axis=1) % 2 == 0]
    offers = jax.vmap(lockstep.offer, (None, None, None, None, None, 0))  # over M
    offered = offers(learner, game_params, rates, weights, game, jnp.asarray(sets))
    most = jax.tree.map(lambda leaf: jnp.max(leaf, axis=0), offered.contract)
    all_follow = jax.tree.map(lambda leaf: leaf[-1], offered)
    return dataclasses.replace(all_follow, contract=most)


def learned_offers(
    learner: Learner, game_params: GameParams, rates: Rates, weights: Weights
) -> Offer:
    """What these weights recommend and pay in every state, `[S, N]`: their standing offers."""

    def offer(game: PyTree) -> Offer:
        return standing_offer(learner, game_params, rates, weights, game)

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
    nothing = jnp.zeros(env.num_agents)

    def step(episode: Episode) -> Episode:
        offered = standing_offer(learner, game_params, rates, weights, episode.game)
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


class Turn(NamedTuple):
    """One step of a recorded episode, `[N]` each beside the state.

    Attributes:
      game: the state before the step.
      recommendation: the actions that were asked for; negative where none were.
      action: the actions that were done.
      payment: what was paid for them.
      reward: what they brought, payments not included.
    """

    game: PyTree
    recommendation: jax.Array
    action: jax.Array
    payment: jax.Array
    reward: jax.Array


def record_episode(
    env: Game,
    game_params: GameParams,
    decide: Callable[[PyTree], tuple[jax.Array, jax.Array, jax.Array]],
    key: jax.Array,
    length: int,
) -> Turn:
    """Plays the first `length` steps of an episode and keeps all of them, with a leading axis T.

    `decide` says what is done in a state: `game -> (recommendation, action, payment)`, `[N]` each.
    """
    key_reset, key_steps = jax.random.split(key)

    def step(game: PyTree, key: jax.Array) -> tuple[PyTree, Turn]:
        recommendation, action, payment = decide(game)
        _, _, reward, _, _, info = env.step(key, game, action, game_params)
        return info["next_state"], Turn(game, recommendation, action, payment, reward)

    _, game = env.reset_env(key_reset, game_params)
    return jax.lax.scan(step, game, jax.random.split(key_steps, length))[1]


def all_follow(
    learner: Learner, game_params: GameParams, rates: Rates, weights: Weights
) -> Callable[[PyTree], tuple[jax.Array, jax.Array, jax.Array]]:
    """What is decided where all do what these weights recommend, for `record_episode`."""

    def decide(game: PyTree) -> tuple[jax.Array, jax.Array, jax.Array]:
        offered = standing_offer(learner, game_params, rates, weights, game)
        return offered.recommendation, offered.recommendation, asked_payments(offered)

    return decide
