"""Black-box agents that learn by proximal policy optimisation, PPO (Schulman et al. 2017).

The same functions as in `dqn`, whose agents learn by deep Q-learning. An iteration has the same
parts, too: every environment takes a step, and there is one gradient step. Steps are gathered
for a target period, a *rollout*. In the next period gradient steps draw from it, each of its steps
`_EPOCHS` times on average, while the following rollout is gathered.
"""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from flax import struct

from jaxparl.config import Config
from jaxparl.environment import Environment
from jaxparl.learning import acting, updates
from jaxparl.learning.acting import ActorState, Behaviour
from jaxparl.learning.components import STANDARD, Components
from jaxparl.learning.learner import Learner, make_learner
from jaxparl.learning.problem import Problem
from jaxparl.types import PyTree, TrainState
from jaxparl.validation.advantages import Rollout, Steps, weigh, weighted_mean
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
from jaxparl.validation.terms import Terms, offered, recommended

# How often each step is learned from, on average.
_EPOCHS = 4
# Steps beyond these ratios of new to old probability are not learned from: the paper's.
_CLIP = 0.2
# What the policy's entropy counts in the first iteration; it falls to 0 in the last.
_ENTROPY = 0.02
# What the error of the value counts.
_VALUE = 0.5
# Less than any logit: the probability of what is not available is 0.
_NEVER = 1e6


class PolicyBoxes(NamedTuple):
    """Black boxes with a policy and a value, and what they face.

    Attributes:
      problem: the game, and the settings that they learn with.
      principal: the learner of the principal's training.
      terms: what they face.
      policy: `(params, observation, bits) -> logits [..., A]`.
      value: `(params, observation, bits) -> [..., 1]`.
      optimizer: of the weights of both.
    """

    problem: Problem
    principal: Learner
    terms: Terms
    policy: nn.Module
    value: nn.Module
    optimizer: optax.GradientTransformation


@struct.dataclass
class PolicyState:
    """Everything that changes, as `dqn.ValidationState`.

    Attributes:
      key: the run's key, never consumed.
      agent: the agents' weights, of policy and value, and optimiser.
      steps: the steps of this target period so far.
      rollout: those of the period before.
      actor: the environments, `[E]`.
      learns: `[E]` int, as in `dqn.ValidationState`.
    """

    key: jax.Array
    agent: TrainState
    steps: Steps
    rollout: Rollout
    actor: ActorState
    learns: jax.Array | None


def make_black_boxes(
    config: Config, env: Environment, terms: Terms, components: Components = STANDARD
) -> PolicyBoxes:
    """Builds black boxes for what they face; see `dqn.make_black_boxes`."""
    problem = Problem(config, env, terms.env_params, terms.hyper_params, components)
    rates = terms.hyper_params
    return PolicyBoxes(
        problem=problem,
        principal=make_learner(problem),
        terms=terms,
        policy=problem.make_network(config.hidden_sizes, env.num_actions),
        value=problem.make_network(config.hidden_sizes, 1),
        optimizer=problem.make_optimizer(rates.learning_rate, rates.learning_rate_final),
    )


def init(boxes: PolicyBoxes, key: jax.Array) -> PolicyState:
    """The state before the first iteration; `key` is consumed."""
    problem, config = boxes.problem, boxes.problem.config
    key_run, key_agent, key_start = jax.random.split(key, 3)
    # Of five keys the last, as in training, so that environments start in the same states.
    actor, observations = acting.init(problem, jax.random.split(key_start, 5)[-1])
    observation = jax.tree.map(lambda leaf: leaf[0], observations)
    bits = problem.with_number(jnp.zeros((problem.env.num_agents, num_bits(problem))))
    key_policy, key_value = jax.random.split(key_agent)
    params = {
        "policy": boxes.policy.init(key_policy, observation, bits),
        "value": boxes.value.init(key_value, observation, bits),
    }
    state = PolicyState(
        key=key_run,
        agent=updates.init(params, boxes.optimizer),
        steps=(),  # type: ignore[arg-type]
        rollout=(),  # type: ignore[arg-type]
        actor=actor,
        learns=first_learners(problem, boxes.terms),
    )
    shapes = jax.eval_shape(lambda: act(boxes, state, key_run, key_run, 0)[1])
    step = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
    # Networks see these states, too, so they are states of the game. Nothing is learned in the
    # first period: all weights are 0.
    step = dataclasses.replace(step, env_state=actor.env_state, next_env_state=actor.env_state)
    steps = jax.tree.map(
        lambda leaf: jnp.broadcast_to(leaf, (config.target_interval, *leaf.shape)), step
    )
    nothing = jnp.zeros_like(steps.reward)
    rollout = weigh(steps, nothing, nothing, problem.gamma)
    return dataclasses.replace(state, steps=steps, rollout=rollout)


class Known(NamedTuple):
    """What agents know in a state, `[..., N, ...]` each: what their networks are given.

    Attributes:
      observation: of the game.
      bits: what they are told, and who they are.
      available: what they can do; None where all can do everything.
    """

    observation: PyTree
    bits: jax.Array
    available: jax.Array | None


def known(boxes: PolicyBoxes, env_state: PyTree, recommendation: jax.Array) -> Known:
    """What agents know in one state, with their recommendations `[N]`."""
    problem = boxes.problem
    return Known(
        observation=problem.observe(env_state),
        bits=problem.with_number(told(boxes, env_state, recommendation)),
        available=problem.available(env_state),
    )


def known_in(boxes: PolicyBoxes, env_state: PyTree) -> Known:
    """The same, with what is recommended there."""
    asked = recommended(boxes.principal, boxes.terms, env_state)
    return known(boxes, env_state, asked)


# Networks are given all states at once, and not mapped over them: a weight's gradient is then one
# product, and not one for each state and a sum.


def log_policy(boxes: PolicyBoxes, params: PyTree, known: Known) -> jax.Array:
    """The logarithm of the agents' policies, `[..., N, A]`."""
    found = boxes.policy.apply(params["policy"], known.observation, known.bits)
    logits = jnp.asarray(found)
    if known.available is not None:
        logits = jnp.where(known.available, logits, -_NEVER)
    return jax.nn.log_softmax(logits)


def values(boxes: PolicyBoxes, params: PyTree, known: Known) -> jax.Array:
    """What the agents expect, `[..., N]`."""
    found = boxes.value.apply(params["value"], known.observation, known.bits)
    return jnp.asarray(found)[..., 0]


def iterate(
    boxes: PolicyBoxes, state: PolicyState, iteration: jax.Array | int
) -> tuple[PolicyState, jax.Array]:
    """One iteration: E environment steps, one gradient step; returns the loss `[]` too."""
    config = boxes.problem.config
    key_act, key_step, key_draw, key_learns = jax.random.split(
        jax.random.fold_in(state.key, iteration), 4
    )
    if state.learns is not None:
        learns = draw_learners(boxes.problem, state.actor, state.learns, key_learns)
        state = dataclasses.replace(state, learns=learns)
    actor, step = act(boxes, state, key_act, key_step, iteration)
    place = jnp.asarray(iteration) % config.target_interval
    steps = jax.tree.map(lambda leaf, new: leaf.at[place].set(new), state.steps, step)
    agent, loss = learn(boxes, state.agent, state.rollout, key_draw, iteration)
    return dataclasses.replace(state, agent=agent, steps=steps, actor=actor), loss


def act(
    boxes: PolicyBoxes,
    state: PolicyState,
    key_act: jax.Array,
    key_step: jax.Array,
    iteration: jax.Array | int,
) -> tuple[ActorState, Steps]:
    """Agents draw their actions, and are paid; returns the steps `[E]`."""
    problem, principal, terms = boxes.problem, boxes.principal, boxes.terms
    env_state = state.actor.env_state
    offers = jax.vmap(partial(offered, principal, terms))(env_state)  # over E
    recommendation = offers.recommendation
    know = jax.vmap(partial(known, boxes))(env_state, recommendation)  # over E
    policy = log_policy(boxes, state.agent.params, know)
    action, weight = jax.random.categorical(key_act, policy), jnp.ones(recommendation.shape)
    if state.learns is not None:
        follows = must_follow(problem, terms, state.learns)
        action = jnp.where(follows, recommendation, action)
        weight = jnp.where(follows, 0.0, weight)
    behaviour = Behaviour(
        action, action, explores=jnp.zeros_like(action, bool), follows=action == recommendation
    )
    actor, transition = acting.step(problem, state.actor, behaviour, key_step)
    return actor, Steps(
        env_state=transition.env_state,
        action=action,
        log_prob=of_action(policy, action),
        reward=received(boxes, offers, transition)
        + introduction(boxes, transition.follows, iteration),
        next_env_state=transition.next_env_state,
        continues=transition.continues,
        ends=actor.starts,
        weight=weight,
    )


def of_action(log_probs: jax.Array, action: jax.Array) -> jax.Array:
    """The entries `[..., N]` of `[..., N, A]` for actions `[..., N]`."""
    return jnp.take_along_axis(log_probs, action[..., None], axis=-1)[..., 0]


def learn(
    boxes: PolicyBoxes,
    agent: TrainState,
    rollout: Rollout,
    key: jax.Array,
    iteration: jax.Array | int,
) -> tuple[TrainState, jax.Array]:
    """Takes a gradient step on steps drawn from a rollout; returns the loss `[]` too."""
    config = boxes.problem.config
    count = _EPOCHS * config.num_envs
    drawn = jax.random.randint(key, (count,), 0, len(rollout.action))
    batch = jax.tree.map(lambda leaf: leaf[drawn], rollout)
    know = jax.vmap(partial(known_in, boxes))(batch.env_state)  # over B
    entropy_weight = _ENTROPY * (1 - jnp.asarray(iteration, jnp.float32) / config.iterations)

    def loss(params: PyTree) -> tuple[jax.Array, None]:
        log_probs = log_policy(boxes, params, know)
        change = of_action(log_probs, batch.action) - batch.log_prob
        # What does not count may be all but impossible by the policy, and its ratio infinite.
        ratio = jnp.exp(jnp.where(batch.weight > 0, change, 0))
        clipped = jnp.clip(ratio, 1 - _CLIP, 1 + _CLIP)
        gain = jnp.minimum(ratio * batch.advantage, clipped * batch.advantage)
        entropy = -jnp.sum(jnp.exp(log_probs) * log_probs, axis=-1)
        error = jnp.square(values(boxes, params, know) - batch.value)
        each = -gain + _VALUE * error - entropy_weight * entropy
        return weighted_mean(each, batch.weight), None

    agent, value, _ = updates.gradient_step(
        updates.with_count(agent, iteration), boxes.optimizer, loss
    )
    return agent, value


def move_targets(boxes: PolicyBoxes, state: PolicyState, iteration: jax.Array | int) -> PolicyState:
    """A period ends: its steps are what is learned from in the next one."""
    config = boxes.problem.config
    agent = updates.move_target(config, state.agent, config.target_window, iteration)
    know = jax.vmap(jax.vmap(partial(known_in, boxes)))  # over E, then T
    now = values(boxes, state.agent.params, know(state.steps.env_state))
    ahead = values(boxes, state.agent.params, know(state.steps.next_env_state))
    rollout = weigh(state.steps, now, ahead, boxes.problem.gamma)
    return dataclasses.replace(state, agent=agent, rollout=rollout)


def policy(boxes: PolicyBoxes, params: PyTree) -> Policy:
    """The likeliest actions by these weights."""

    def own_policy(env_state: PyTree, recommendation: jax.Array) -> jax.Array:
        know = known(boxes, env_state, recommendation)
        return jnp.argmax(log_policy(boxes, params, know), axis=-1)

    return own_policy
