"""The iteration: principal and agents learn side by side (Algorithm 2; Algorithm 3 for many).

recommend and offer -> respond -> step the game -> store -> sample -> update both
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxparl import players, replay
from jaxparl.agent import Agent, make_agent
from jaxparl.config import Config, Rates
from jaxparl.environment import Game, GameParams
from jaxparl.outcome_model import OUTCOME_MODELS, OutcomeModel
from jaxparl.principal import Principal, make_principal
from jaxparl.run_state import Losses, Playing, RunState, Weights, online_weights, target_weights
from jaxparl.sampling import SAMPLERS, Sampler
from jaxparl.types import Offer, PyTree, Transition


class Learner(NamedTuple):
    """Everything that is fixed while the loop runs: settings, game and the players' functions."""

    config: Config
    env: Game
    agent: Agent
    principal: Principal
    outcome_model: OutcomeModel
    sampler: Sampler


def make_learner(config: Config, env: Game) -> Learner:
    """Puts the players together for a game."""
    return Learner(
        config=config,
        env=env,
        agent=make_agent(config, env, num_bits=env.num_agents - 1),
        principal=make_principal(config, env),
        outcome_model=OUTCOME_MODELS[config.outcome_model](config, env),
        sampler=SAMPLERS[config.replay](config),
    )


def init(learner: Learner, game_params: GameParams, rates: Rates, key: jax.Array) -> RunState:
    """The state before the first iteration; `key` is consumed."""
    config, env = learner.config, learner.env
    key_run, key_agent, key_principal, key_model, key_game = jax.random.split(key, 5)
    keys_game = jax.random.split(key_game, config.num_envs)
    observations, games = jax.vmap(env.reset_env, (0, None))(keys_game, game_params)  # over E
    observation, game = jax.tree.map(lambda leaf: leaf[0], (observations, games))
    action, outcome = (
        jnp.zeros(env.num_agents, _smallest_integer(count))
        for count in (env.num_actions, env.num_outcomes)
    )
    no, real = jnp.zeros(env.num_agents, bool), jnp.zeros(env.num_agents)
    blank = Transition(game, action, outcome, no, no, real, real, game, jnp.float32(0.0))
    agent = learner.agent.init(key_agent, observation, rates)
    return RunState(
        key=key_run,
        agent=agent,
        agent_average=_average(config, agent.params),
        principal=learner.principal.init(key_principal, observation, rates),
        outcome_model=learner.outcome_model.init(key_model, observation, rates),
        replay=replay.init(blank, config.replay_capacity),
        sampler=learner.sampler.init(),
        game=games,
        starts=jnp.ones(config.num_envs, bool),
        explores=jnp.zeros((config.num_envs, env.num_agents), bool),
        follows=jnp.ones((config.num_envs, env.num_agents), bool),
    )


def _average(config: Config, params: PyTree) -> PyTree | None:
    """A copy of fresh weights, to become an average, unless their targets become the same one."""
    if config.principal_target_window == config.target_window:
        return None
    return jax.tree.map(lambda leaf: leaf.copy(), params)


def _smallest_integer(count: int) -> type:
    """The type that replay keeps numbers below `count` in: it holds many of them."""
    return jnp.int8 if count <= jnp.iinfo(jnp.int8).max else jnp.int32


def take_batch(ring: Transition, index: jax.Array) -> Transition:
    """The transitions `[B, ...]` at `index` `[B]`, actions and outcomes as int32 again."""
    batch = replay.take(ring, index)
    return dataclasses.replace(
        batch, action=batch.action.astype(jnp.int32), outcome=batch.outcome.astype(jnp.int32)
    )


def others_follow(follows: jax.Array) -> jax.Array:
    """f_{-i}: what each agent's Q-values depend on, `[N, N - 1]`, from bits `[N]`."""
    num_agents = follows.shape[0]
    # The next agent first, then the one after: the order is the same from everybody's side.
    others = (jnp.arange(num_agents)[:, None] + jnp.arange(1, num_agents)) % num_agents
    return follows[others].astype(jnp.float32)


def as_conditioned(explores: jax.Array) -> jax.Array:
    """`[N]`, 1 where none of the others explored, else 0.

    Agent i's Q-values are those of a game in which the others do what f_{-i} says. A step in which
    another one acted at random was not of that game.
    """
    return 1.0 - jnp.max(others_follow(explores), axis=-1, initial=0.0)


def offer(
    learner: Learner,
    game_params: GameParams,
    rates: Rates,
    weights: Weights,
    game: PyTree,
    follows: jax.Array,
) -> Offer:
    """What the principal recommends and pays for in one state of the game.

    It recommends what is best if all agents follow, and pays each for what the others really
    do: `follows` `[N]`.
    """
    observation = learner.env.get_obs(game, game_params)
    probs = learner.outcome_model.probs(weights.outcome_model, game, observation, game_params)

    def q_truncated(agent: PyTree, follows: jax.Array) -> jax.Array:
        bits = others_follow(follows)
        return learner.agent.q_truncated(agent, observation, bits, probs, game_params.discount)

    return learner.principal.offer(
        weights.principal,
        observation,
        q_truncated(weights.agent_average, jnp.ones_like(follows)),
        q_truncated(weights.agent, follows),
        probs,
        rates,
    )


def draw_follows(rates: Rates, state: RunState, key: jax.Array) -> jax.Array:
    """Which agents follow the principal, `[E, N]`: drawn when an episode begins."""
    drawn = jax.random.bernoulli(key, rates.follow_share, state.follows.shape)
    return jnp.where(state.starts[:, None], drawn, state.follows)


def explore(
    learner: Learner,
    rates: Rates,
    state: Playing,
    key: jax.Array,
    wanted: jax.Array,
    iteration: jax.Array | int,
) -> tuple[jax.Array, jax.Array]:
    """Who explores, `[E, N]`, and what is done, `[E, N]`: a random action, or what was wanted.

    Each agent explores with probability epsilon. Per step, as in the paper, that is drawn anew
    every time, and what takes many unwanted actions in a row is soon never seen again; per
    episode it is drawn when one begins, and whoever explores acts at random until it ends.
    """
    config = learner.config
    whether, which = jax.random.uniform(key, (2, *wanted.shape))
    epsilon = rates.epsilon + (rates.epsilon_final - rates.epsilon) * iteration / config.iterations
    explores = whether < epsilon
    if config.exploration == "per_episode":
        explores = jnp.where(state.starts[:, None], explores, state.explores)
    anything = jnp.floor(which * learner.env.num_actions).astype(wanted.dtype)
    return explores, jnp.where(explores, anything, wanted)


def step_games(
    learner: Learner,
    game_params: GameParams,
    key: jax.Array,
    game: PyTree,
    action: jax.Array,
    wanted: jax.Array,
    follows: jax.Array,
) -> tuple[PyTree, jax.Array, Transition]:
    """Steps every environment, `[E]`: the states to go on from, what ended, what to store."""
    keys = jax.random.split(key, learner.config.num_envs)
    step = jax.vmap(learner.env.step, (0, 0, 0, None))  # over E
    _, next_game, agent_reward, terminated, truncated, info = step(keys, game, action, game_params)
    return (
        next_game,
        terminated | truncated,
        Transition(
            state=game,
            action=action,
            outcome=info["outcome"],
            follows=follows,
            explores=action != wanted,
            agent_reward=agent_reward,
            principal_reward=info["principal_reward"],
            next_state=info["next_state"],
            discount=1.0 - terminated,
        ),
    )


def iterate(
    learner: Learner,
    game_params: GameParams,
    rates: Rates,
    state: RunState,
    iteration: jax.Array | int,
) -> tuple[RunState, Losses]:
    """One iteration: E environment steps, one gradient step of each player (Algorithms 2, 3)."""
    env, discount = learner.env, game_params.discount
    key_explore, key_step, key_sample, key_follow = jax.random.split(
        jax.random.fold_in(state.key, iteration), 4
    )
    offers = jax.vmap(offer, (None, None, None, None, 0, 0))  # over E, and over B

    # Recommend. Some agents follow, the others do what is best for them; but all explore.
    follows = draw_follows(rates, state, key_follow)
    offered = offers(learner, game_params, rates, online_weights(state), state.game, follows)
    wanted = jnp.where(follows, offered.recommendation, offered.own_action)
    explores, action = explore(learner, rates, state, key_explore, wanted, iteration)

    # Step the games, store, and sample.
    game, ends, transition = step_games(
        learner, game_params, key_step, state.game, action, wanted, follows
    )
    ring = replay.add(state.replay, transition, iteration)
    sampler = learner.sampler.add(state.sampler, iteration)
    index, importance = learner.sampler.draw(sampler, key_sample, iteration)
    batch = take_batch(ring, index)

    # What the next state is worth to each, under the contract that will be offered there.
    ahead = offers(
        learner, game_params, rates, target_weights(state), batch.next_state, batch.follows
    )
    agent_next = batch.discount[:, None] * ahead.agent_value
    principal_next = batch.discount[:, None] * ahead.principal_value

    # What was done is priced as if all had followed.
    observation = jax.vmap(env.get_obs, (0, None))(batch.state, game_params)  # over B
    probs = jax.vmap(learner.outcome_model.probs, (None, 0, 0, None))(  # over B
        state.outcome_model.params, batch.state, observation, game_params
    )
    bits = jax.vmap(others_follow)  # over B
    q_truncated = jax.vmap(learner.agent.q_truncated, (None, 0, 0, 0, None))(  # over B
        state.agent.params, observation, bits(jnp.ones_like(batch.follows)), probs, discount
    )

    # Update all, in lockstep.
    agent, agent_loss, agent_error = learner.agent.update(
        players.counted(state.agent, iteration),
        observation,
        bits(batch.follows),
        batch,
        importance[:, None] * jax.vmap(as_conditioned)(batch.explores),  # over B
        agent_next,
        discount,
        rates,
    )
    principal, principal_loss, joint_error = learner.principal.update(
        players.counted(state.principal, iteration),
        observation,
        batch,
        importance,
        q_truncated,
        probs,
        principal_next,
        discount,
        rates,
    )
    outcome_model, model_loss = learner.outcome_model.update(
        state.outcome_model, observation, batch, rates
    )
    error = jnp.mean(agent_error, axis=-1) + jnp.abs(joint_error)
    state = RunState(
        key=state.key,
        agent=agent,
        agent_average=state.agent_average,
        principal=principal,
        outcome_model=outcome_model,
        replay=ring,
        sampler=learner.sampler.update(sampler, index, error),
        game=game,
        starts=ends,
        explores=explores,
        follows=follows,
    )
    return state, Losses(agent_loss, principal_loss, model_loss)


def move_targets(learner: Learner, state: RunState, iteration: jax.Array | int) -> RunState:
    """Every `target_interval` iterations, here: after `iteration`, the targets follow.

    Where the principal is all but indifferent between two actions, its recommendation would flip
    from copy to copy, and with it the agent's value of that state, which the contracts before it
    are made of. So it recommends by averages, of its own weights and of the agents'; the agents
    value and are paid by their latest copy, and adapt.
    """
    config, average = learner.config, state.agent_average
    slow = config.principal_target_window
    if average is not None:
        average = players.moved(config, average, state.agent.params, slow, iteration)
    return dataclasses.replace(
        state,
        agent=players.move_target(config, state.agent, config.target_window, iteration),
        agent_average=average,
        principal=players.move_target(config, state.principal, slow, iteration),
    )
