"""Black-box agents that learn by deep Q-learning, as in the paper.

Each learns the value of its actions given what it is told (`black_boxes`). The iteration has the
same parts as that of training (`learning.lockstep`): act -> remember -> learn.
"""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import struct

from jaxparl.config import Config
from jaxparl.environment import Environment
from jaxparl.learning import acting, lockstep, replay, updates
from jaxparl.learning.acting import ActorState, Behaviour
from jaxparl.learning.agent import Agent, make_agent
from jaxparl.learning.availability import only_available
from jaxparl.learning.components import STANDARD, Components
from jaxparl.learning.learner import Learner, make_learner
from jaxparl.learning.problem import Problem
from jaxparl.learning.replay import Batch, ReplayState
from jaxparl.types import PyTree, TrainState, Transition
from jaxparl.validation.black_boxes import (
    draw_learners,
    first_learners,
    introduction,
    must_follow,
    num_bits,
    received,
    told,
)
from jaxparl.validation.metrics import Policy
from jaxparl.validation.mixes import is_alone
from jaxparl.validation.terms import Terms, offered, recommended


class ValueBoxes(NamedTuple):
    """The black-box agents of one run, and what they face.

    Attributes:
      problem: the game, and the settings that they learn with.
      principal: the learner of the principal's training.
      terms: what they face.
      agent: their functions. Their bits are what they are told. Their Q-values are of everything
        that they receive, payments included.
    """

    problem: Problem
    principal: Learner
    terms: Terms
    agent: Agent


@struct.dataclass
class ValidationState:
    """Everything that changes: a run is a pure function of this, its terms and the iteration.

    Attributes:
      key: the run's key, never consumed; each iteration folds its number into it.
      agent: the agents' weights and optimiser.
      replay: the stored transitions. Their rewards are what the agents received, but for
        introductory nudges: those are of the iteration that learns, not of the one that acted.
      actor: the environments, `[E]`.
      learns: `[E]` int, which agent learns in this episode, where one learns at a time and the
        others follow; None where no scheme has that.
    """

    key: jax.Array
    agent: TrainState
    replay: ReplayState
    actor: ActorState
    learns: jax.Array | None


def make_black_boxes(
    config: Config, env: Environment, terms: Terms, components: Components = STANDARD
) -> ValueBoxes:
    """Builds black-box agents for what they face.

    Args:
      config: of the principal's training. Black boxes learn with the same settings, except that
        their critics are always per action.
      env: the game.
      terms: what they face.
      components: of the principal's training; black boxes have its networks and optimisers.
    """
    trained = Problem(config, env, terms.env_params, terms.hyper_params, components)
    exploration = terms.hyper_params.validation_epsilon
    problem = trained._replace(
        config=dataclasses.replace(config, critic="per_action"),
        hyper_params=dataclasses.replace(terms.hyper_params, epsilon=exploration),
    )
    agent = make_agent(problem, num_bits=num_bits(problem))
    return ValueBoxes(problem, make_learner(trained), terms, agent)


def init(boxes: ValueBoxes, key: jax.Array) -> ValidationState:
    """The state before the first iteration; `key` is consumed."""
    problem = boxes.problem
    key_run, key_agent, key_start = jax.random.split(key, 3)
    # Of five keys the last, as in training, so that environments start in the same states.
    actor, observations = acting.init(problem, jax.random.split(key_start, 5)[-1])
    first, observation = jax.tree.map(lambda leaf: leaf[0], (actor.env_state, observations))
    return ValidationState(
        key=key_run,
        agent=boxes.agent.init(key_agent, observation),
        replay=replay.init(problem.config, problem.env, first),
        actor=actor,
        learns=first_learners(problem, boxes.terms),
    )


def q_values(
    boxes: ValueBoxes, params: PyTree, env_state: PyTree, recommendation: jax.Array
) -> jax.Array:
    """The agents' Q-values in one state, `[N, A]`, given their recommendations `[N]`."""
    problem = boxes.problem
    q = boxes.agent.q_values(
        params,
        problem.observe(env_state),
        told(boxes, env_state, recommendation),
        problem.env.outcome_probs(env_state, problem.env_params),
    )
    return only_available(q, problem.available(env_state))


def iterate(
    boxes: ValueBoxes, state: ValidationState, iteration: jax.Array | int
) -> tuple[ValidationState, jax.Array]:
    """One iteration: E environment steps, one gradient step; returns the loss `[]` too."""
    config = boxes.problem.config
    count = 3 if state.learns is None else 4
    key_explore, key_step, key_sample, *key_learns = jax.random.split(
        jax.random.fold_in(state.key, iteration), count
    )
    if state.learns is not None:
        learns = draw_learners(boxes.problem, state.actor, state.learns, *key_learns)
        state = dataclasses.replace(state, learns=learns)
    actor, transition = act(boxes, state, key_explore, key_step, iteration)
    memory, batch = replay.remember(config, state.replay, transition, key_sample, iteration)
    agent, loss, error = learn(boxes, state.agent, batch, iteration)
    memory = replay.update(config, memory, batch, error)
    return dataclasses.replace(state, agent=agent, replay=memory, actor=actor), loss


def act(
    boxes: ValueBoxes,
    state: ValidationState,
    key_explore: jax.Array,
    key_step: jax.Array,
    iteration: jax.Array | int,
) -> tuple[ActorState, Transition]:
    """Agents get recommendations, take their best action or explore, and are paid."""
    problem, principal, terms, _ = boxes
    env_state = state.actor.env_state
    offers = jax.vmap(partial(offered, principal, terms))(env_state)  # over E
    recommendation = offers.recommendation
    value = jax.vmap(partial(q_values, boxes, state.agent.params))  # over E
    wanted = jnp.argmax(value(env_state, recommendation), axis=-1)
    action, explores = acting.explore(problem, state.actor, wanted, key_explore, iteration)
    if state.learns is not None:
        follows = must_follow(problem, terms, state.learns)
        wanted = jnp.where(follows, recommendation, wanted)
        action = jnp.where(follows, recommendation, action)
    behaviour = Behaviour(action, wanted, explores, follows=action == recommendation)
    actor, transition = acting.step(problem, state.actor, behaviour, key_step)
    reward = received(boxes, offers, transition)
    return actor, dataclasses.replace(transition, agent_reward=reward)


def learn(
    boxes: ValueBoxes, agent: TrainState, batch: Batch, iteration: jax.Array | int
) -> tuple[TrainState, jax.Array, jax.Array]:
    """Updates the agents on one batch; returns the loss `[]` and the errors `[B]` too."""
    problem, principal, terms, _ = boxes
    bonus = introduction(boxes, batch.transition.follows, iteration)
    transition = dataclasses.replace(
        batch.transition, agent_reward=batch.transition.agent_reward + bonus
    )
    # The value of the next state depends on what will be recommended there.
    recommend = jax.vmap(partial(recommended, principal, terms))  # over B
    value = jax.vmap(partial(q_values, boxes, agent.target_params))  # over B
    q_next = value(transition.next_env_state, recommend(transition.next_env_state))
    bits = jax.vmap(partial(told, boxes))  # over B
    weight = jnp.broadcast_to(batch.weight[:, None], transition.action.shape)
    if terms.scheme.others_follow is not None:
        # A best response to followers is learned from steps in which all others followed.
        of_game = jax.vmap(lockstep.as_conditioned)(~transition.follows)  # over B
        weight = weight * jnp.where(is_alone(terms.scheme), of_game, 1.0)
    agent, loss, error = boxes.agent.update(
        updates.with_count(agent, iteration),
        batch._replace(transition=transition),
        observation=jax.vmap(problem.observe)(transition.env_state),  # over B
        bits=bits(transition.env_state, recommend(transition.env_state)),
        weight=weight,
        next_value=transition.continues[:, None] * jnp.max(q_next, axis=-1),
    )
    return agent, loss, jnp.mean(error, axis=-1)


def move_targets(
    boxes: ValueBoxes, state: ValidationState, iteration: jax.Array | int
) -> ValidationState:
    """Moves the agents' target weights, as in training."""
    config = boxes.problem.config
    agent = updates.move_target(config, state.agent, config.target_window, iteration)
    return dataclasses.replace(state, agent=agent)


def policy(boxes: ValueBoxes, params: PyTree) -> Policy:
    """The greedy policy of these weights."""

    def own_policy(env_state: PyTree, recommendation: jax.Array) -> jax.Array:
        return jnp.argmax(q_values(boxes, params, env_state, recommendation), axis=-1)

    return own_policy
