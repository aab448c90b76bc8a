"""Validation: black-box agents learn from scratch in the game of a frozen principal.

Each agent observes the state and its own recommendation, is paid if it follows, and learns by deep
Q-learning. It knows nothing of the contracts (section 5.2 of the paper). The baselines are the same
agents without a principal. The iteration has the same parts as that of training
(`learning.lockstep`): act -> remember -> learn.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import struct

from jaxparl.config import Config, HyperParams
from jaxparl.environment import Environment
from jaxparl.evaluation.offers import payments_for
from jaxparl.evaluation.rollouts import Decide
from jaxparl.learning import acting, lockstep, replay, updates
from jaxparl.learning.acting import ActorState, Behaviour
from jaxparl.learning.agent import Agent, make_agent
from jaxparl.learning.availability import only_available
from jaxparl.learning.components import STANDARD, Components
from jaxparl.learning.learner import Learner, make_learner
from jaxparl.learning.problem import Problem
from jaxparl.learning.replay import Batch, ReplayState
from jaxparl.learning.state import Weights, target_weights
from jaxparl.types import KEY_IMPL, PyTree, TrainState, Transition
from jaxparl.validation import estimated, metrics, schemes
from jaxparl.validation.estimated import EstimatedMetrics
from jaxparl.validation.metrics import OneAgentMetrics, ValidationMetrics
from jaxparl.validation.mixes import is_alone
from jaxparl.validation.terms import Terms, offered, recommended


class BlackBoxes(NamedTuple):
    """The black-box agents of one run, and what they face.

    Attributes:
      problem: the game, and the settings that they learn with.
      principal: the learner of the principal's training.
      terms: what they face.
      agent: their functions. Their bits `[N, A]` are the recommended actions, one-hot. Their
        Q-values are of everything that they receive, payments included.
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
      replay: the stored transitions. Their rewards are everything that the agents received.
      actor: the environments, `[E]`.
      learns: `[E]` int, which agent learns in this episode, where one learns at a time and the
        others follow; None where no scheme has that.
    """

    key: jax.Array
    agent: TrainState
    replay: ReplayState
    actor: ActorState
    learns: jax.Array | None


def check_principal(
    config: Config, env: Environment, weights: Weights, components: Components = STANDARD
) -> None:
    """Checks that weights are those of a principal of this environment with this config.

    Raises:
      ValueError: an array is missing or of another shape; the message names the first one.
    """
    problem = Problem(config, env, env.default_params, HyperParams(), components)

    def fresh(key: jax.Array) -> Weights:
        return target_weights(make_learner(problem).init(key))

    shapes = jax.eval_shape(fresh, jax.random.key(0, impl=KEY_IMPL))
    fit = jax.tree_util.tree_flatten_with_path(shapes)[0]
    given = dict(jax.tree_util.tree_flatten_with_path(weights)[0])
    for path, leaf in fit:
        found = given.pop(path).shape if path in given else None
        if found != leaf.shape:
            raise ValueError(
                f"the principal is not of this game, or has other networks: its weights "
                f"{jax.tree_util.keystr(path)} are {found}, not {leaf.shape}"
            )


def make_black_boxes(
    config: Config, env: Environment, terms: Terms, components: Components = STANDARD
) -> BlackBoxes:
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
    agent = make_agent(problem, num_bits=env.num_actions)
    return BlackBoxes(problem, make_learner(trained), terms, agent)


def init(black_boxes: BlackBoxes, key: jax.Array) -> ValidationState:
    """The state before the first iteration; `key` is consumed."""
    problem = black_boxes.problem
    key_run, key_agent, key_start = jax.random.split(key, 3)
    # Of five keys the last, as in training, so that environments start in the same states.
    actor, observations = acting.init(problem, jax.random.split(key_start, 5)[-1])
    first, observation = jax.tree.map(lambda leaf: leaf[0], (actor.env_state, observations))
    learns = None
    if black_boxes.terms.scheme.others_follow is not None:
        learns = jnp.zeros(problem.config.num_envs, jnp.int32)
    return ValidationState(
        key=key_run,
        agent=black_boxes.agent.init(key_agent, observation),
        replay=replay.init(problem.config, problem.env, first),
        actor=actor,
        learns=learns,
    )


def q_values(
    black_boxes: BlackBoxes, params: PyTree, env_state: PyTree, recommendation: jax.Array
) -> jax.Array:
    """The agents' Q-values in one state, `[N, A]`, given their recommendations `[N]`."""
    problem = black_boxes.problem
    q = black_boxes.agent.q_values(
        params,
        problem.observe(env_state),
        jax.nn.one_hot(recommendation, problem.env.num_actions),
        problem.env.outcome_probs(env_state, problem.env_params),
    )
    return only_available(q, problem.available(env_state))


def iterate(
    black_boxes: BlackBoxes, state: ValidationState, iteration: jax.Array | int
) -> tuple[ValidationState, jax.Array]:
    """One iteration: E environment steps, one gradient step; returns the loss `[]` too."""
    config = black_boxes.problem.config
    count = 3 if state.learns is None else 4
    key_explore, key_step, key_sample, *key_learns = jax.random.split(
        jax.random.fold_in(state.key, iteration), count
    )
    if state.learns is not None:
        learns = draw_learns(black_boxes, state.actor, state.learns, *key_learns)
        state = dataclasses.replace(state, learns=learns)
    actor, transition = act(black_boxes, state, key_explore, key_step, iteration)
    memory, batch = replay.remember(config, state.replay, transition, key_sample, iteration)
    agent, loss, error = learn(black_boxes, state.agent, batch, iteration)
    memory = replay.update(config, memory, batch, error)
    return dataclasses.replace(state, agent=agent, replay=memory, actor=actor), loss


def draw_learns(
    black_boxes: BlackBoxes, actor: ActorState, learns: jax.Array, key: jax.Array
) -> jax.Array:
    """Which agent learns while the others follow, `[E]`: drawn when an episode begins."""
    num_agents = black_boxes.problem.env.num_agents
    drawn = jax.random.randint(key, learns.shape, 0, num_agents)
    return jnp.where(actor.starts, drawn, learns)


def act(
    black_boxes: BlackBoxes,
    state: ValidationState,
    key_explore: jax.Array,
    key_step: jax.Array,
    iteration: jax.Array | int,
) -> tuple[ActorState, Transition]:
    """Agents get recommendations, take their best action or explore, and are paid."""
    problem, principal, terms, _ = black_boxes
    env_state = state.actor.env_state
    recommendation, payments = jax.vmap(partial(offered, principal, terms))(env_state)  # over E
    value = jax.vmap(partial(q_values, black_boxes, state.agent.params))  # over E
    wanted = jnp.argmax(value(env_state, recommendation), axis=-1)
    action, explores = acting.explore(problem, state.actor, wanted, key_explore, iteration)
    if state.learns is not None:
        follows = is_alone(terms.scheme) & (
            jnp.arange(problem.env.num_agents)[None] != state.learns[:, None]
        )
        wanted = jnp.where(follows, recommendation, wanted)
        action = jnp.where(follows, recommendation, action)
    behaviour = Behaviour(action, wanted, explores, follows=action == recommendation)
    actor, transition = acting.step(problem, state.actor, behaviour, key_step)
    payment = jax.vmap(payments_for)(payments, transition.outcome)  # over E
    total = jax.vmap(partial(schemes.total_rewards, terms.scheme))  # over E
    reward = total(transition.agent_reward, payment)
    return actor, dataclasses.replace(transition, agent_reward=reward)


def learn(
    black_boxes: BlackBoxes, agent: TrainState, batch: Batch, iteration: jax.Array | int
) -> tuple[TrainState, jax.Array, jax.Array]:
    """Updates the agents on one batch; returns the loss `[]` and the errors `[B]` too."""
    problem, principal, terms, _ = black_boxes
    transition = batch.transition
    # The value of the next state depends on what will be recommended there.
    recommend = jax.vmap(partial(recommended, principal, terms))  # over B
    value = jax.vmap(partial(q_values, black_boxes, agent.target_params))  # over B
    q_next = value(transition.next_env_state, recommend(transition.next_env_state))
    weight = jnp.broadcast_to(batch.weight[:, None], transition.action.shape)
    if terms.scheme.others_follow is not None:
        # A best response to followers is learned from steps in which all others followed.
        of_game = jax.vmap(lockstep.as_conditioned)(~transition.follows)  # over B
        weight = weight * jnp.where(is_alone(terms.scheme), of_game, 1.0)
    agent, loss, error = black_boxes.agent.update(
        updates.with_count(agent, iteration),
        batch,
        observation=jax.vmap(problem.observe)(transition.env_state),  # over B
        bits=jax.nn.one_hot(recommend(transition.env_state), problem.env.num_actions),
        weight=weight,
        next_value=transition.continues[:, None] * jnp.max(q_next, axis=-1),
    )
    return agent, loss, jnp.mean(error, axis=-1)


def move_targets(
    black_boxes: BlackBoxes, state: ValidationState, iteration: jax.Array | int
) -> ValidationState:
    """Moves the agents' target weights, as in training."""
    config = black_boxes.problem.config
    agent = updates.move_target(config, state.agent, config.target_window, iteration)
    return dataclasses.replace(state, agent=agent)


def greedy(black_boxes: BlackBoxes, params: PyTree) -> Callable[[PyTree, jax.Array], jax.Array]:
    """The greedy policy of these weights, `(env_state, recommendation [N]) -> action [N]`."""

    def own_policy(env_state: PyTree, recommendation: jax.Array) -> jax.Array:
        return jnp.argmax(q_values(black_boxes, params, env_state, recommendation), axis=-1)

    return own_policy


def decide(black_boxes: BlackBoxes, params: PyTree) -> Decide:
    """Black boxes play greedily by these weights: a `Decide` for an episode."""
    own_policy = greedy(black_boxes, params)

    def decided(env_state: PyTree) -> tuple[jax.Array, jax.Array, jax.Array]:
        recommendation, payments = offered(black_boxes.principal, black_boxes.terms, env_state)
        return recommendation, own_policy(env_state, recommendation), payments

    return decided


def evaluate(
    black_boxes: BlackBoxes, state: ValidationState, loss: jax.Array
) -> ValidationMetrics | OneAgentMetrics | EstimatedMetrics:
    """Evaluates the agents' target weights; `loss` is their mean since the last evaluation."""
    _, principal, terms, _ = black_boxes
    own_policy = greedy(black_boxes, state.agent.target_params)
    if black_boxes.problem.env.exact is not None:
        return metrics.evaluate(principal, terms, own_policy, loss)
    return estimated.evaluate(principal, terms, own_policy, key=state.key, agent_loss=loss)
