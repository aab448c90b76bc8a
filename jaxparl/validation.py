"""The validation phase: black-box agents learn from scratch in the game of a frozen principal.

Each agent sees the state and its own recommendation, is paid if it follows, and learns by deep
Q-learning; of the contracts it knows nothing (section 5.2 of the paper). The baselines are the
same agents, without a principal. The loop is that of training, see `loop`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import struct

from jaxparl import lockstep, loop, panels, players, replay, schemes
from jaxparl.agent import Agent, make_agent
from jaxparl.config import Config, Rates
from jaxparl.environment import Game, GameParams
from jaxparl.lockstep import Learner
from jaxparl.panels import ValidationMetrics
from jaxparl.run_state import Weights, target_weights
from jaxparl.schemes import Scheme, Terms
from jaxparl.types import PlayerState, PyTree, Transition


class Validator(NamedTuple):
    """Everything that is fixed while the loop runs.

    Attributes:
      learner: what the principal was trained as; its game and its sampler are the agents' too.
      agent: the black-box agents' functions; their bits `[N, A]` are the recommended actions,
        one-hot, and their Q-values those of what they are rewarded, payments included.
    """

    learner: Learner
    agent: Agent


@struct.dataclass
class ValidationState:
    """Everything that changes: a run is a pure function of this, its terms and the iteration.

    Attributes:
      key: the run's key, never consumed; each iteration folds its number into it.
      agent: the agents' learning state.
      replay: the ring of transitions, `[capacity, ...]`; the rewards are what the agents were
        rewarded, payments included.
      sampler: what is known of the ring's items, for drawing from it.
      game: the states of the environments, `[E]`.
      starts: `[E]` bool, whether an episode begins with the next step.
      explores: `[E, N]` bool, who acts at random.
    """

    key: jax.Array
    agent: PlayerState
    replay: Transition
    sampler: PyTree
    game: PyTree
    starts: jax.Array
    explores: jax.Array


@struct.dataclass
class ValidationResult:
    """What a run of validation leaves behind.

    Attributes:
      params: the agents' target weights after the last iteration: those that were evaluated.
      metrics: one entry per evaluation, `[evaluations]` each.
    """

    params: PyTree
    metrics: ValidationMetrics


def make_validator(config: Config, env: Game) -> Validator:
    """Puts principal and black-box agents together for a game.

    Raises:
      ValueError: the game has one agent, hidden actions or no exact solutions.
    """
    if env.num_agents == 1 or not env.observed_actions or not env.is_solvable:
        raise ValueError(
            "validation needs several agents, observed actions and exact solutions, which "
            f"{env.name} does not have"
        )
    # Black boxes have one value per action, however the principal's own critics are made.
    black_box = dataclasses.replace(config, critic="per_action")
    return Validator(
        learner=lockstep.make_learner(config, env),
        agent=make_agent(black_box, env, num_bits=env.num_actions),
    )


def check_principal(validator: Validator, weights: Weights) -> None:
    """Refuses weights that are not those of a principal of this game.

    Raises:
      ValueError: naming the first array that does not fit.
    """
    learner = validator.learner
    params = learner.env.default_params

    def fresh(key: jax.Array) -> Weights:
        return target_weights(lockstep.init(learner, params, Rates(), key))

    fit = jax.tree_util.tree_flatten_with_path(jax.eval_shape(fresh, jax.random.key(0)))[0]
    given = dict(jax.tree_util.tree_flatten_with_path(weights)[0])
    for path, leaf in fit:
        found = given.pop(path).shape if path in given else None
        if found != leaf.shape:
            raise ValueError(
                f"the principal is not of this game, or has other networks: its weights "
                f"{jax.tree_util.keystr(path)} are {found}, not {leaf.shape}"
            )


def init(validator: Validator, terms: Terms, key: jax.Array) -> ValidationState:
    """The state before the first iteration, whatever the principal's; `key` is consumed."""
    learner, params = validator.learner, terms.game_params
    key_run, key_agent, key_training = jax.random.split(key, 3)
    # A training run's start has games and an empty ring; of its learners nothing is kept.
    start = lockstep.init(learner, params, terms.rates, key_training)
    observation = learner.env.get_obs(jax.tree.map(lambda leaf: leaf[0], start.game), params)
    return ValidationState(
        key=key_run,
        agent=validator.agent.init(key_agent, observation, terms.rates),
        replay=start.replay,
        sampler=start.sampler,
        game=start.game,
        starts=start.starts,
        explores=start.explores,
    )


def q_values(
    validator: Validator, terms: Terms, params: PyTree, game: PyTree, recommendation: jax.Array
) -> jax.Array:
    """`[N, A]`, what black-box agents expect of their actions in one state, told `[N]`."""
    env = validator.learner.env
    return validator.agent.q_truncated(
        params,
        env.get_obs(game, terms.game_params),
        jax.nn.one_hot(recommendation, env.num_actions),
        env.outcome_probs(game, terms.game_params),
        terms.game_params.discount,
    )


def greedy(
    validator: Validator, terms: Terms, params: PyTree
) -> Callable[[PyTree, jax.Array], jax.Array]:
    """Black boxes' policy by these weights, `(game, recommendation [N]) -> action [N]`."""

    def own_policy(game: PyTree, recommendation: jax.Array) -> jax.Array:
        return jnp.argmax(q_values(validator, terms, params, game, recommendation), axis=-1)

    return own_policy


def decide(
    validator: Validator, terms: Terms, params: PyTree
) -> Callable[[PyTree], tuple[jax.Array, jax.Array, jax.Array]]:
    """What happens in a state where black boxes play by these weights; see `record_episode`."""
    env, own_policy = validator.learner.env, greedy(validator, terms, params)

    def decided(game: PyTree) -> tuple[jax.Array, jax.Array, jax.Array]:
        asked = schemes.recommended(env, terms, game)
        action = own_policy(game, asked)
        return asked, action, schemes.paid(env, terms, game, asked, action)

    return decided


def iterate(
    validator: Validator, terms: Terms, state: ValidationState, iteration: jax.Array | int
) -> tuple[ValidationState, jax.Array]:
    """One iteration: E environment steps, one gradient step; returns the loss `[]` too."""
    learner, game_params = validator.learner, terms.game_params
    key_explore, key_step, key_sample = jax.random.split(
        jax.random.fold_in(state.key, iteration), 3
    )
    # over E, and over B
    recommend = jax.vmap(schemes.recommended, (None, None, 0))
    q_of = jax.vmap(q_values, (None, None, None, 0, 0))

    # Recommend; agents do what they think best, or explore.
    recommendation = recommend(learner.env, terms, state.game)
    q = q_of(validator, terms, state.agent.params, state.game, recommendation)
    wanted = jnp.argmax(q, axis=-1)
    rates = dataclasses.replace(terms.rates, epsilon=terms.rates.validation_epsilon)
    explores, action = lockstep.explore(learner, rates, state, key_explore, wanted, iteration)

    # Step the games, pay, store, and sample.
    follows = action == recommendation
    game, ends, transition = lockstep.step_games(
        learner, game_params, key_step, state.game, action, wanted, follows
    )
    pay = jax.vmap(schemes.paid, (None, None, 0, 0, 0))  # over E
    payment = pay(learner.env, terms, state.game, recommendation, action)
    total = jax.vmap(schemes.total_rewards, (None, 0, 0))  # over E
    reward = total(terms.scheme, transition.agent_reward, payment)
    transition = dataclasses.replace(transition, agent_reward=reward)
    ring = replay.add(state.replay, transition, iteration)
    sampler = learner.sampler.add(state.sampler, iteration)
    index, importance = learner.sampler.draw(sampler, key_sample, iteration)
    batch = lockstep.take_batch(ring, index)

    # Learn: what the next state is worth depends on what will be recommended there.
    ahead = recommend(learner.env, terms, batch.next_state)
    q_next = q_of(validator, terms, state.agent.target_params, batch.next_state, ahead)
    told = recommend(learner.env, terms, batch.state)
    agent, loss, error = validator.agent.update(
        players.counted(state.agent, iteration),
        jax.vmap(learner.env.get_obs, (0, None))(batch.state, game_params),  # over B
        jax.nn.one_hot(told, learner.env.num_actions),
        batch,
        jnp.broadcast_to(importance[:, None], batch.action.shape),
        batch.discount[:, None] * jnp.max(q_next, axis=-1),
        game_params.discount,
        terms.rates,
    )
    state = ValidationState(
        key=state.key,
        agent=agent,
        replay=ring,
        sampler=learner.sampler.update(sampler, index, jnp.mean(error, axis=-1)),
        game=game,
        starts=ends,
        explores=explores,
    )
    return state, loss


def learn(
    validator: Validator, terms: Terms, state: ValidationState, stretch: jax.Array | int
) -> tuple[ValidationState, jax.Array]:
    """Trains the agents through one stretch, see `loop.learn`.

    Args:
      validator: see `make_validator`.
      terms: what the agents face; nothing of it changes.
      state: see `init`.
      stretch: `[]` int, how many stretches came before this one, shared by all runs.
    """
    config = validator.learner.config

    def one(state: ValidationState, iteration: jax.Array) -> tuple[ValidationState, jax.Array]:
        return iterate(validator, terms, state, iteration)

    def move_targets(state: ValidationState, iteration: jax.Array) -> ValidationState:
        agent = players.move_target(config, state.agent, config.target_window, iteration)
        return dataclasses.replace(state, agent=agent)

    return loop.learn(config, one, move_targets, state, stretch)


def evaluate(
    validator: Validator, terms: Terms, state: ValidationState, loss: jax.Array
) -> ValidationMetrics:
    """Evaluates what the agents have learned; `loss` is their mean loss since the last time."""
    own_policy = greedy(validator, terms, state.agent.target_params)
    return panels.evaluate(validator.learner.env, terms, own_policy, loss)


def make_validate(
    config: Config, env: Game, env_params: GameParams
) -> Callable[..., ValidationResult]:
    """Makes `validate(key, weights, rates, scheme) -> ValidationResult`, a pure function.

    `jax.jit` compiles it; `jax.vmap` makes it many runs, over keys, principals or schemes. The
    game is the one of `env_params`, and `config` that of the training of `weights`
    (`run_state.target_weights`).

    Raises:
      ValueError: the game has one agent, hidden actions or no exact solutions; or, by `validate`,
        the weights are of another game.
    """
    validator = make_validator(config, env)

    def validate(
        key: jax.Array, weights: Weights, rates: Rates, scheme: Scheme
    ) -> ValidationResult:
        check_principal(validator, weights)
        principal = schemes.freeze(validator.learner, env_params, rates, weights)
        terms = schemes.terms(env, env_params, rates, principal, scheme)

        def stretch(state: ValidationState, index: jax.Array) -> tuple[ValidationState, jax.Array]:
            return learn(validator, terms, state, index)

        def found(state: ValidationState, loss: jax.Array) -> ValidationMetrics:
            return evaluate(validator, terms, state, loss)

        def chunk(
            state: ValidationState, index: jax.Array
        ) -> tuple[ValidationState, ValidationMetrics]:
            return loop.chunk(config, stretch, found, state, index)

        chunks = jnp.arange(config.iterations // config.evaluation_interval)
        state, metrics = jax.lax.scan(chunk, init(validator, terms, key), chunks)
        return ValidationResult(params=state.agent.target_params, metrics=metrics)

    return validate
