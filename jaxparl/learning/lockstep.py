"""The iteration: principal and agents learn side by side (Algorithm 2; Algorithm 3 for many).

act (recommend, offer, respond, step) -> remember (store, draw) -> learn (update all)
"""

from __future__ import annotations

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp

from jaxparl.learning import acting, replay, updates
from jaxparl.learning.acting import Behaviour
from jaxparl.learning.learner import Learner, offer, others_follow
from jaxparl.learning.replay import Batch
from jaxparl.learning.state import Losses, RunState, online_weights, target_weights


def iterate(
    learner: Learner, state: RunState, iteration: jax.Array | int
) -> tuple[RunState, Losses]:
    """One iteration: E environment steps, one gradient step of each learner (Algorithms 2, 3)."""
    config = learner.problem.config
    key_explore, key_step, key_sample, key_follow = jax.random.split(
        jax.random.fold_in(state.key, iteration), 4
    )
    follows = draw_follows(learner, state, key_follow)
    behaviour = behave(learner, state, follows, key_explore, iteration)
    actor, transition = acting.step(learner.problem, state.actor, behaviour, key_step)
    memory, batch = replay.remember(config, state.replay, transition, key_sample, iteration)
    learned, losses, error = learn(learner, state, batch, iteration)
    memory = replay.update(config, memory, batch, error)
    return dataclasses.replace(learned, replay=memory, actor=actor, follows=follows), losses


def draw_follows(learner: Learner, state: RunState, key: jax.Array) -> jax.Array:
    """Which agents follow the principal, `[E, N]`: drawn when an episode begins."""
    share = learner.problem.hyper_params.follow_share
    drawn = jax.random.bernoulli(key, share, state.follows.shape)
    return jnp.where(state.actor.starts[:, None], drawn, state.follows)


def behave(
    learner: Learner,
    state: RunState,
    follows: jax.Array,
    key: jax.Array,
    iteration: jax.Array | int,
) -> Behaviour:
    """What agents do: some follow, the others do what is best for them; but all explore."""
    offers = jax.vmap(partial(offer, learner, online_weights(state)))  # over E
    offered = offers(state.actor.env_state, follows)
    wanted = jnp.where(follows, offered.recommendation, offered.own_action)
    action, explores = acting.explore(learner.problem, state.actor, wanted, key, iteration)
    return Behaviour(action, wanted, explores, follows)


def learn(
    learner: Learner, state: RunState, batch: Batch, iteration: jax.Array | int
) -> tuple[RunState, Losses, jax.Array]:
    """Updates all in lockstep on one batch; returns how wrong they were, `[B]`, too."""
    transition = batch.transition
    # What the next state is worth to each, under the contract that will be offered there.
    offers = jax.vmap(partial(offer, learner, target_weights(state)))  # over B
    ahead = offers(transition.next_env_state, transition.follows)
    agent_next = transition.continues[:, None] * ahead.agent_value
    principal_next = transition.continues[:, None] * ahead.principal_value

    # What was done is priced as if all had followed.
    observation = jax.vmap(learner.problem.observe)(transition.env_state)  # over B
    predict = jax.vmap(partial(learner.outcome_model.probs, state.outcome_model.params))  # over B
    probs = predict(transition.env_state, observation)
    bits = jax.vmap(others_follow)  # over B
    value = jax.vmap(partial(learner.agent.q_values, state.agent.params))  # over B
    q_truncated = value(observation, bits(jnp.ones_like(transition.follows)), probs)

    agent, agent_loss, agent_error = learner.agent.update(
        updates.with_count(state.agent, iteration),
        batch,
        observation=observation,
        bits=bits(transition.follows),
        weight=batch.weight[:, None] * jax.vmap(as_conditioned)(transition.deviated),  # over B
        next_value=agent_next,
    )
    principal, principal_loss, joint_error = learner.principal.update(
        updates.with_count(state.principal, iteration),
        batch,
        observation=observation,
        q_truncated=q_truncated,
        outcome_probs=probs,
        next_value=principal_next,
    )
    outcome_model, model_loss = learner.outcome_model.update(
        state.outcome_model, batch, observation
    )
    error = jnp.mean(agent_error, axis=-1) + jnp.abs(joint_error)
    learned = dataclasses.replace(
        state, agent=agent, principal=principal, outcome_model=outcome_model
    )
    return learned, Losses(agent_loss, principal_loss, model_loss), error


def as_conditioned(deviated: jax.Array) -> jax.Array:
    """`[N]`, 1 where none of the others deviated, else 0; from bits `[N]`.

    Agent i's Q-values are those of a game in which the others do what f_{-i} says. A step in which
    another agent did something else was not of that game.
    """
    return 1.0 - jnp.max(others_follow(deviated), axis=-1, initial=0.0)


def move_targets(learner: Learner, state: RunState, iteration: jax.Array | int) -> RunState:
    """Moves the target weights after `iteration`, once every `target_interval` iterations.

    Where the principal is all but indifferent between two actions, its recommendation would flip
    from copy to copy, and with it the agent's value of that state, which the contracts before it
    are made of. So it recommends by averages, of its own weights and of the agents'; the agents
    value and are paid by their latest copy, and adapt.
    """
    config, average = learner.problem.config, state.agent_average
    slow = config.principal_target_window
    if average is not None:
        average = updates.moved(config, average, state.agent.params, slow, iteration)
    return dataclasses.replace(
        state,
        agent=updates.move_target(config, state.agent, config.target_window, iteration),
        agent_average=average,
        principal=updates.move_target(config, state.principal, slow, iteration),
    )
