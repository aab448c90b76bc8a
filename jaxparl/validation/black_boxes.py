"""Validation: black-box agents learn from scratch in the game of a frozen principal.

Each agent observes the state and its own recommendation, and is paid if it follows. It knows
nothing of the contracts (section 5.2 of the paper), unless it is told what is on offer. The
baselines are the same agents without a principal. How they learn is up to `dqn` or `ppo`; what they
are told and what they receive is the same for both, and said here.
"""

from __future__ import annotations

from functools import partial
from typing import Protocol

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxparl.config import Config, HyperParams
from jaxparl.environment import Environment
from jaxparl.evaluation.offers import payments_for
from jaxparl.learning.acting import ActorState
from jaxparl.learning.components import STANDARD, Components
from jaxparl.learning.learner import Learner, make_learner
from jaxparl.learning.problem import Problem
from jaxparl.learning.state import Weights, target_weights
from jaxparl.types import KEY_IMPL, PyTree, Transition
from jaxparl.validation import schemes
from jaxparl.validation.frozen import Offered
from jaxparl.validation.mixes import is_alone
from jaxparl.validation.terms import Terms, fines, offered


class BlackBoxes(Protocol):
    """The black-box agents of one run, and what they face."""

    @property
    def problem(self) -> Problem:
        """The game, and the settings that they learn with."""
        ...

    @property
    def principal(self) -> Learner:
        """The learner of the principal's training."""
        ...

    @property
    def terms(self) -> Terms:
        """What they face."""
        ...


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


def num_bits(problem: Problem) -> int:
    """How many numbers each agent is told besides its observation and who it is."""
    env = problem.env
    return env.num_actions + (env.num_outcomes if problem.config.payments_told else 0)


def told(boxes: BlackBoxes, env_state: PyTree, recommendation: jax.Array) -> jax.Array:
    """What agents are told in one state, `[N, F]`: recommendations `[N]`, one-hot, and payments.

    These are what is paid for each outcome while the others follow.
    """
    asked = jax.nn.one_hot(recommendation, boxes.problem.env.num_actions)
    if not boxes.problem.config.payments_told:
        return asked
    offers = offered(boxes.principal, boxes.terms, env_state)
    payments = offers.settled(offers.recommendation)
    return jnp.concatenate([asked, payments.astype(asked.dtype)], axis=-1)


def received(boxes: BlackBoxes, offers: Offered, transition: Transition) -> jax.Array:
    """What agents receive in steps `[E]`, `[E, N]`, by what was offered; without introductions."""
    scheme = boxes.terms.scheme
    settled = offers.settled(transition.action)
    payment = jax.vmap(payments_for)(settled, transition.outcome)  # over E
    payment = payment - fines(scheme, offers.recommendation, transition.action)
    total = jax.vmap(partial(schemes.total_rewards, scheme))  # over E
    return total(transition.agent_reward, payment)


def introduction(boxes: BlackBoxes, follows: jax.Array, iteration: ArrayLike) -> jax.Array:
    """What agents get in an iteration for having followed, `follows` `[..., N]`, besides that."""
    bonus = schemes.introduction(boxes.terms.scheme, iteration, boxes.problem.config.iterations)
    return jnp.where(follows, bonus, 0.0)


def first_learners(problem: Problem, terms: Terms) -> jax.Array | None:
    """Which agent learns at first, `[E]` int; None where no scheme lets one at a time learn."""
    if terms.scheme.others_follow is None:
        return None
    return jnp.zeros(problem.config.num_envs, jnp.int32)


def draw_learners(
    problem: Problem, actor: ActorState, learns: jax.Array, key: jax.Array
) -> jax.Array:
    """Which agent learns while the others follow, `[E]`: drawn when an episode begins."""
    drawn = jax.random.randint(key, learns.shape, 0, problem.env.num_agents)
    return jnp.where(actor.starts, drawn, learns)


def must_follow(problem: Problem, terms: Terms, learns: jax.Array) -> jax.Array:
    """Who follows, whatever it has learned, `[E, N]` bool: all but the one that learns alone."""
    others = jnp.arange(problem.env.num_agents) != learns[:, None]
    return jnp.where(jnp.asarray(is_alone(terms.scheme)), others, False)
