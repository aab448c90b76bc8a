"""The steps of an iteration, each timed alone in a compiled loop of its own.

What several steps need is counted in each of them.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxparl import cli
from jaxparl.envs import REGISTRY
from jaxparl.learning import acting, replay, ring, updates
from jaxparl.learning.acting import Behaviour
from jaxparl.learning.lockstep import Lockstep, make_lockstep, others_follow
from jaxparl.learning.problem import Problem
from jaxparl.learning.replay import Batch
from jaxparl.learning.state import RunState, target_weights
from jaxparl.training.sweep import draw_env_params
from jaxparl.types import PyTree, Transition

CALLS = 200
REPEATS = 7
BATCHES = 8

Step = Callable[[Any, jax.Array], Any]


class Trained(NamedTuple):
    """One run in the middle of training, and some batches of it, `[BATCHES, B, ...]`."""

    learner: Lockstep
    state: RunState
    batches: Transition

    def batch(self, number: jax.Array) -> Transition:
        """A different batch in every call: what never changes is computed before the loop."""
        return jax.tree.map(lambda leaf: leaf[number % BATCHES], self.batches)

    def after(self, done: jax.Array) -> RunState:
        """A state whose weights wait for the step before; else all steps were one large product."""

        def wait(params: PyTree) -> PyTree:
            return jax.tree.map(lambda leaf: leaf + 0.0 * done, params)

        def waiting(of: Any) -> Any:
            return dataclasses.replace(
                of, params=wait(of.params), target_params=wait(of.target_params)
            )

        state = self.state
        return dataclasses.replace(
            state,
            agent=waiting(state.agent),
            agent_average=wait(state.agent_average),
            principal=waiting(state.principal),
            outcome_model=waiting(state.outcome_model),
        )


def train_a_little(environment: str, preset: str, *options: str) -> Trained:
    """Trains one run of a preset, with other options, for some iterations."""
    job = cli.parse([environment, "--preset", preset, *options])
    config, env = job.config, REGISTRY[environment].environment(job.settings)
    learns = make_lockstep(Problem(config, env, draw_env_params(env, 0), config.hyper_params))
    state = jax.jit(learns.init)(jax.random.key(0))
    state = loop(partial(iterate, learns))(state)
    index = jnp.arange(BATCHES * config.batch_size) % (CALLS * config.num_envs)
    drawn = ring.take(state.replay.ring, index)
    drawn = dataclasses.replace(
        drawn, action=drawn.action.astype(jnp.int32), outcome=drawn.outcome.astype(jnp.int32)
    )
    batches = jax.tree.map(lambda leaf: leaf.reshape(BATCHES, -1, *leaf.shape[1:]), drawn)
    return Trained(learns, state, batches)


def iterate(learns: Lockstep, state: RunState, number: jax.Array) -> RunState:
    return learns.iterate(state, number)[0]


def loop(step: Step) -> Callable[[Any], Any]:
    """A compiled loop `carry -> carry` over `step(carry, number)`."""

    def one(carry: Any, number: jax.Array) -> tuple[Any, None]:
        return step(carry, number), None

    return jax.jit(lambda carry: jax.lax.scan(one, carry, jnp.arange(CALLS))[0])


def seconds_of(step: Step, carry: Any) -> float:
    """The median time of one step in a compiled loop."""
    run = loop(step)
    jax.block_until_ready(run(carry))
    taken = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        jax.block_until_ready(run(carry))
        taken.append((time.perf_counter() - start) / CALLS)
    return float(np.median(taken))


def total(tree: PyTree) -> jax.Array:
    """A sum over everything, so that all of it is computed."""
    return sum((jnp.sum(leaf.astype(jnp.float32)) for leaf in jax.tree.leaves(tree)), jnp.zeros(()))


def acts(trained: Trained) -> float:
    """Recommendations, offers and exploration, for the environments of one iteration."""
    count = trained.learner.problem.config.num_envs

    def step(done: jax.Array, number: jax.Array) -> jax.Array:
        state = trained.after(done)
        env_state = jax.tree.map(lambda leaf: leaf[:count], trained.batch(number).env_state)
        state = dataclasses.replace(
            state, actor=dataclasses.replace(state.actor, env_state=env_state)
        )
        key = jax.random.fold_in(jax.random.key(1), number)
        return done + total(trained.learner.behave(state, state.follows, key, number))

    return seconds_of(step, jnp.zeros(()))


def steps_environments(trained: Trained) -> float:
    """One step of every environment."""
    problem, follows = trained.learner.problem, trained.state.follows

    def step(actor: acting.ActorState, number: jax.Array) -> acting.ActorState:
        action = jnp.full(follows.shape, number % problem.env.num_actions)
        behaviour = Behaviour(action, action, actor.explores, follows)
        key = jax.random.fold_in(jax.random.key(1), number)
        return acting.step(problem, actor, behaviour, key)[0]

    return seconds_of(step, trained.state.actor)


def remembers(trained: Trained) -> float:
    """Transitions are stored, a batch is drawn, and its priorities are changed."""
    config = trained.learner.problem.config

    def step(carry: tuple[replay.ReplayState, jax.Array], number: jax.Array):
        memory, done = carry
        new = jax.tree.map(lambda leaf: leaf[: config.num_envs], trained.batch(number))
        key = jax.random.fold_in(jax.random.key(1), number)
        memory, batch = replay.remember(config, memory, new, key, number)
        memory = replay.update(config, memory, batch, batch.weight)
        return memory, done + total((batch.transition, batch.weight))

    return seconds_of(step, (trained.state.replay, jnp.zeros(())))


def looks_ahead(trained: Trained) -> float:
    """What the target weights offer in the next states of a batch."""

    def step(done: jax.Array, number: jax.Array) -> jax.Array:
        batch, weights = trained.batch(number), target_weights(trained.after(done))
        ahead = jax.vmap(partial(trained.learner.offer, weights))  # over B
        offered = ahead(batch.next_env_state, batch.follows)
        return done + total((offered.agent_value, offered.principal_value))

    return seconds_of(step, jnp.zeros(()))


def seen(trained: Trained, batch: Transition) -> tuple[jax.Array, jax.Array]:
    """Observations `[B, N, ...]` and outcome probabilities `[B, N, A, O]`."""
    observation = jax.vmap(trained.learner.problem.observe)(batch.env_state)  # over B
    model = partial(trained.learner.outcome_model.probs, trained.state.outcome_model.params)
    return observation, jax.vmap(model)(batch.env_state, observation)  # over B


def as_batch(transition: Transition) -> Batch:
    size = transition.action.shape[0]
    return Batch(transition, jnp.arange(size), jnp.ones(size))


def updates_agents(trained: Trained) -> float:
    """The agents' gradient step, its targets given."""

    def step(agent: Any, number: jax.Array) -> Any:
        batch = trained.batch(number)
        zeros = jnp.zeros(batch.action.shape)
        return trained.learner.agent.update(
            agent,
            as_batch(batch),
            observation=seen(trained, batch)[0],
            bits=jax.vmap(others_follow)(batch.follows),  # over B
            weight=zeros + 1.0,
            next_value=zeros,
        )[0]

    return seconds_of(step, trained.state.agent)


def updates_principal(trained: Trained) -> float:
    """The principal's prices and its gradient step, its targets given."""

    def step(principal: Any, number: jax.Array) -> Any:
        batch = trained.batch(number)
        observation, probs = seen(trained, batch)
        return trained.learner.principal.update(
            principal,
            as_batch(batch),
            observation=observation,
            q_truncated=probs[..., 0] * (1.0 + number),
            outcome_probs=probs,
            next_value=jnp.zeros(batch.action.shape),
        )[0]

    return seconds_of(step, trained.state.principal)


def optimises(trained: Trained) -> float:
    """The optimisers of both, given gradients."""
    config, rates = trained.learner.problem.config, trained.learner.problem.hyper_params

    def step(carry: Any, _: jax.Array) -> Any:
        weights, moments, gradient = carry
        optimizer = updates.optimizer(config, rates.learning_rate, rates.learning_rate_final)
        change, moments = optimizer.update(gradient, moments)
        return optax.apply_updates(weights, change), moments, weights

    return sum(
        seconds_of(step, (learning.params, learning.optimizer_state, learning.params))
        for learning in (trained.state.agent, trained.state.principal)
    )


def moves_targets(trained: Trained) -> float:
    """The target weights move; per iteration, so over the target interval."""

    def step(state: RunState, number: jax.Array) -> RunState:
        moved = trained.learner.move_targets(state, number)
        # The online weights have moved too, meanwhile.
        agent, principal = (
            dataclasses.replace(learning, params=learning.target_params)
            for learning in (moved.agent, moved.principal)
        )
        return dataclasses.replace(moved, agent=agent, principal=principal)

    return seconds_of(step, trained.state) / trained.learner.problem.config.target_interval


#: Seconds of each step of an iteration.
STEPS: dict[str, Callable[[Trained], float]] = {
    "recommend, offer, explore": acts,
    "step the environments": steps_environments,
    "store and sample": remembers,
    "offers ahead, by the targets": looks_ahead,
    "agents: gradient and optimiser": updates_agents,
    "principal: prices, gradient and optimiser": updates_principal,
    "of the last two: optimisers": optimises,
    "target copies": moves_targets,
}
