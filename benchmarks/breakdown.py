"""Where does the time of an iteration go, and how far is it from what the machine could do?

    python benchmarks/breakdown.py [--parts game_tree coin_game_3x3 coin_game_7x7] [--out JSON]

Each part takes one run of the paper's settings, times the iteration, and then its steps, each alone
in a compiled loop of its own. The floor is counted: the operations of an iteration, by XLA's count,
over the machine's rate at a matrix product, plus the bytes of weights, gradients and moments that
the optimisers go through over its rate at a copy, both rates measured in the same process. What a
loop of Python over one compiled iteration takes stands beside it. Medians.
"""

from __future__ import annotations

import dataclasses
import math
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from report_card import Row, parse_options, report

from jaxparl import cli, lockstep, players, replay, sweep
from jaxparl.config import Rates
from jaxparl.environment import GameParams
from jaxparl.envs import REGISTRY
from jaxparl.lockstep import Learner
from jaxparl.run_state import RunState, online_weights, target_weights
from jaxparl.types import PyTree, Transition

PARTS = {
    "game_tree": ("game_tree", "figure3"),
    "game_tree_per_action": ("game_tree", "figure3_per_action"),
    "coin_game_3x3": ("coin_game", "figure4"),
    "coin_game_7x7": ("coin_game", "figure2"),
}
CALLS = 200
REPEATS = 7
BATCHES = 8


class Given(NamedTuple):
    """One run in the middle of training, and some batches of it, `[_BATCHES, B, ...]`."""

    learner: Learner
    params: GameParams
    rates: Rates
    state: RunState
    batches: Transition


def given(environment: str, preset: str) -> Given:
    """Trains a run a little."""
    job = cli.parse([environment, "--preset", preset])
    env = REGISTRY[environment].environment(job.settings)
    learner, rates = lockstep.make_learner(job.config, env), job.config.rates
    params = sweep.draw_game(env, 0)
    state = jax.jit(lambda key: lockstep.init(learner, params, rates, key))(sweep.run_key(0, 0))
    state = loop(lambda state, number: iterate(learner, params, rates, state, number))(state)
    index = jnp.arange(BATCHES * job.config.batch_size) % (CALLS * job.config.num_envs)
    taken = lockstep.take_batch(state.replay, index)
    batches = jax.tree.map(lambda leaf: leaf.reshape(BATCHES, -1, *leaf.shape[1:]), taken)
    return Given(learner, params, rates, state, batches)


def iterate(learner: Learner, params: GameParams, rates: Rates, state: RunState, number: Any):
    return lockstep.iterate(learner, params, rates, state, number)[0]


def loop(step: Callable[[Any, jax.Array], Any]) -> Callable[[Any], Any]:
    """A compiled loop `carry -> carry` over `step(carry, number)`."""

    def one(carry: Any, number: jax.Array) -> tuple[Any, None]:
        return step(carry, number), None

    return jax.jit(lambda carry: jax.lax.scan(one, carry, jnp.arange(CALLS))[0])


def seconds_of(step: Callable[[Any, jax.Array], Any], carry: Any) -> float:
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


def steps_of(found: Given) -> dict[str, float]:
    """Seconds of each step of an iteration; what they have in common is counted in each."""
    learner, params, rates, state, batches = found
    config, env = learner.config, learner.env
    key, follows = jax.random.key(1), jnp.ones((config.num_envs, env.num_agents), bool)
    offers = jax.vmap(lockstep.offer, (None, None, None, None, 0, 0))

    def batch_of(number: jax.Array) -> Transition:
        # Another one each time: what does not change would be computed once, before the loop.
        return jax.tree.map(lambda leaf: leaf[number % BATCHES], batches)

    def weights_of(weights: PyTree, seen: jax.Array) -> PyTree:
        # Weights that wait for the step before; else all steps could be one large product.
        return jax.tree.map(lambda leaf: leaf + 0.0 * seen, weights)

    def act(seen: jax.Array, number: jax.Array) -> jax.Array:
        game = jax.tree.map(lambda leaf: leaf[: config.num_envs], batch_of(number).state)
        weights = weights_of(online_weights(state), seen)
        offered = offers(learner, params, rates, weights, game, follows)
        chosen = lockstep.explore(
            learner,
            rates,
            state,
            jax.random.fold_in(key, number),
            offered.recommendation,
            number,
        )
        return seen + total((offered, chosen))

    def play(game: PyTree, number: jax.Array) -> PyTree:
        action = jnp.full(follows.shape, number % env.num_actions)
        return lockstep.step_games(
            learner, params, jax.random.fold_in(key, number), game, action, action, follows
        )[0]

    def remember(carry: tuple[PyTree, PyTree, jax.Array], number: jax.Array):
        ring, sampler, seen = carry
        new = jax.tree.map(lambda leaf: leaf[: config.num_envs], batch_of(number))
        ring = replay.add(ring, new, number)
        sampler = learner.sampler.add(sampler, number)
        index, weight = learner.sampler.draw(sampler, jax.random.fold_in(key, number), number)
        taken = lockstep.take_batch(ring, index)
        sampler = learner.sampler.update(sampler, index, weight)
        return ring, sampler, seen + total((taken, weight))

    def look_ahead(seen: jax.Array, number: jax.Array) -> jax.Array:
        batch, weights = batch_of(number), weights_of(target_weights(state), seen)
        ahead = offers(learner, params, rates, weights, batch.next_state, batch.follows)
        return seen + total((ahead.agent_value, ahead.principal_value))

    bits = jax.vmap(lockstep.others_follow)

    def seen_in(batch: Transition) -> tuple[jax.Array, jax.Array]:
        observation = jax.vmap(env.get_obs, (0, None))(batch.state, params)
        probs = jax.vmap(learner.outcome_model.probs, (None, 0, 0, None))(
            state.outcome_model.params, batch.state, observation, params
        )
        return observation, probs

    def learn_agent(agent: Any, number: jax.Array) -> Any:
        batch = batch_of(number)
        value = jnp.zeros(batch.action.shape)
        return learner.agent.update(
            agent,
            seen_in(batch)[0],
            bits(batch.follows),
            batch,
            value + 1.0,
            value,
            params.discount,
            rates,
        )[0]

    def learn_principal(principal: Any, number: jax.Array) -> Any:
        batch = batch_of(number)
        observation, probs = seen_in(batch)
        q_truncated = probs[..., 0] * (1.0 + number)
        return learner.principal.update(
            principal,
            observation,
            batch,
            jnp.ones(config.batch_size),
            q_truncated,
            probs,
            jnp.zeros(batch.action.shape),
            params.discount,
            rates,
        )[0]

    def optimise(carry: Any, _: jax.Array) -> Any:
        weights, moments, gradient = carry
        optimizer = players.optimizer(config, rates.learning_rate, rates.learning_rate_final)
        updates, moments = optimizer.update(gradient, moments)
        return optax.apply_updates(weights, updates), moments, weights

    def copy_targets(state: RunState, number: jax.Array) -> RunState:
        moved = lockstep.move_targets(learner, state, number)
        # The online weights have moved too, meanwhile.
        turn = (moved.agent.target_params, moved.principal.target_params)
        return dataclasses.replace(
            moved,
            agent=dataclasses.replace(moved.agent, params=turn[0]),
            principal=dataclasses.replace(moved.principal, params=turn[1]),
        )

    both = [
        seconds_of(optimise, (player.params, player.optimizer_state, player.params))
        for player in (state.agent, state.principal)
    ]
    nothing = jnp.zeros(())
    return {
        "recommend, offer, explore": seconds_of(act, nothing),
        "step the games": seconds_of(play, state.game),
        "store and sample": seconds_of(remember, (state.replay, state.sampler, nothing)),
        "offers ahead, by the targets": seconds_of(look_ahead, nothing),
        "agents: gradient and optimiser": seconds_of(learn_agent, state.agent),
        "principal: prices, gradient and optimiser": seconds_of(learn_principal, state.principal),
        "of the last two: optimisers": sum(both),
        "target copies": seconds_of(copy_targets, state) / config.target_interval,
    }


class Rate(NamedTuple):
    """What the machine can do: operations and bytes per second."""

    operations: float
    bytes: float


def ceilings(num_bytes: float) -> Rate:
    """A large matrix product, and going through so many bytes, each in a loop."""
    size = 2048
    matrix = jax.random.normal(jax.random.key(0), (size, size)) / math.sqrt(size)
    product = seconds_of(lambda carry, _: carry @ matrix, matrix)
    array = jnp.zeros(int(num_bytes / 8))  # read and written, 4 bytes each
    copy = seconds_of(lambda carry, number: carry + number, array)
    return Rate(2.0 * size**3 / product, 8.0 * array.size / copy)


def part(name: str) -> list[Row]:
    """One run of one game: the iteration, its steps, its floor, and Python's loop."""
    found = given(*PARTS[name])
    learner, params, rates, state, _ = found

    def one(state: RunState, number: jax.Array) -> RunState:
        return iterate(learner, params, rates, state, number)

    whole = seconds_of(one, state)
    rows = [Row(f"{name}: an iteration", f"{1e6 * whole:.0f} us", "", None)]
    for step, seconds in steps_of(found).items():
        shown = f"{1e6 * seconds:.0f} us ({seconds / whole:.0%})"
        rows.append(Row(f"{name}: {step}", shown, "", None))

    compiled = jax.jit(one, donate_argnums=0).lower(state, jnp.int32(0)).compile()
    operations = compiled.cost_analysis()["flops"]
    weights = (state.agent.params, state.principal.params)
    # A gradient is written and read, weights and two moments are read and written.
    through = 8 * sum(leaf.nbytes for leaf in jax.tree.leaves(weights))
    rate = ceilings(through)
    floor = operations / rate.operations + through / rate.bytes
    rates_shown = f"{rate.operations / 1e9:.0f} G/s", f"{rate.bytes / 1e9:.0f} GB/s"
    rows.append(
        Row(
            f"{name}: floor, {operations / 1e6:.1f} M operations at {rates_shown[0]} and "
            f"{through / 1e6:.1f} MB at {rates_shown[1]}",
            f"{1e6 * floor:.0f} us, {floor / whole:.0%} of the iteration",
            "",
            None,
            {"floor_seconds": floor, "seconds": whole},
        )
    )
    start = time.perf_counter()
    for number in range(CALLS):
        state = compiled(state, np.int32(number))
    jax.block_until_ready(state)
    python = (time.perf_counter() - start) / CALLS
    rows.append(
        Row(
            f"{name}: an iteration called from Python, one by one",
            f"{1e6 * python:.0f} us, {python / whole:.2f} times the compiled loop's",
            "",
            None,
        )
    )
    return rows


def main() -> int:
    options = parse_options(__doc__, list(PARTS))
    return report([row for name in options.parts for row in part(name)], options.out)


if __name__ == "__main__":
    sys.exit(main())
