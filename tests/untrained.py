"""Principals of the small Coin Game whose networks are not trained, but scaled up.

Their contracts are worth as much as the rewards, and of every kind.
"""

from __future__ import annotations

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
from small import COIN_ENV, COIN_PARAMS

from jaxparl.config import Config, HyperParams
from jaxparl.evaluation import offers
from jaxparl.learning.learner import Learner, make_learner
from jaxparl.learning.problem import Problem
from jaxparl.learning.state import RunState, Weights, target_weights
from jaxparl.training.task import Task, validation_task
from jaxparl.types import Offer, TrainState
from jaxparl.validation import frozen as frozen_principals
from jaxparl.validation.frozen import OfferTable
from jaxparl.validation.schemes import Scheme
from jaxparl.validation.terms import Terms, make_terms

CONFIG = Config(
    iterations=40,
    evaluation_interval=20,
    target_interval=10,
    batch_size=16,
    replay="prioritised",
    replay_capacity=1_600,
    hidden_sizes=(16,),
    critic="per_action",
    exploration="per_step",
    hyper_params=HyperParams(
        learning_rate=2e-3,
        learning_rate_final=5e-4,
        epsilon=0.4,
        epsilon_final=0.1,
        follow_share=0.5,
        nudge=0.01,
        alpha=0.1,
    ),
)
PROBLEM = Problem(CONFIG, COIN_ENV, COIN_PARAMS, CONFIG.hyper_params)
LEARNER = make_learner(PROBLEM)

_init = jax.jit(LEARNER.init)
_offers = jax.jit(functools.partial(offers.learned_offers, LEARNER))
_freeze = jax.jit(functools.partial(frozen_principals.freeze, LEARNER))
_make_terms = jax.jit(functools.partial(make_terms, LEARNER))


def noise(learns: Learner, key: jax.Array, count: tuple[int, ...] = ()) -> RunState:
    """The key, and target weights `[*count]` of a large scale: all that an evaluation reads."""
    fresh = jax.eval_shape(learns.init, jax.random.key(0))
    rng = np.random.default_rng(0)
    agent, average, principal = jax.tree.map(
        lambda leaf: np.float32(rng.normal(size=(*count, *leaf.shape))),
        (fresh.agent.params, fresh.agent_average, fresh.principal.params),
    )
    unread = TrainState(params=(), target_params=(), optimizer_state=())
    return RunState(
        key=key,
        agent=dataclasses.replace(unread, target_params=agent),
        agent_average=average,
        principal=dataclasses.replace(unread, target_params=principal),
        outcome_model=unread,
        replay=None,
        actor=None,
        follows=None,
    )


@functools.cache
def start(seed: int = 0) -> RunState:
    """The state before the first iteration."""
    return _init(jax.random.key(seed))


@functools.cache
def weights(seed: int = 0) -> Weights:
    """A principal, and what it takes the agents for."""
    return jax.tree.map(lambda leaf: 4 * leaf, target_weights(start(seed)))


@functools.cache
def offered(seed: int = 0) -> Offer:
    """What it offers in every state, `[S, N]`."""
    return _offers(weights(seed))


@functools.cache
def frozen(seed: int = 0) -> OfferTable:
    """The same as a table."""
    return _freeze(weights(seed))


def terms(scheme: Scheme) -> Terms:
    """What black-box agents face under a scheme, in the game of principal 0."""
    return _make_terms(frozen(), jax.tree.map(jnp.float32, scheme))


@functools.cache
def validation_of(config: Config) -> Task:
    """The parts of a run of validation, compiled; each takes its terms as a first argument."""

    def part(name: str):
        return jax.jit(
            lambda terms, *args: getattr(validation_task(config, COIN_ENV, terms), name)(*args)
        )

    return Task(*map(part, Task._fields))
