"""The promises that every game keeps; each is checked by a function of a `Case`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxparl.environment import Environment, GameParams
from jaxparl.equilibrium import solutions_of
from jaxparl.evaluation.checks import check_env
from jaxparl.evaluation.checks.draws import unlikely
from jaxparl.evaluation.checks.failures import differences, form
from jaxparl.evaluation.checks.small_programs import compiled_quickly, quick_to_compile
from jaxparl.testing.case import ENVS, SHORT, STEPS, Case, Play, as_arrays, ravel
from jaxparl.types import PyTree

# Draws of the outcome of one action.
_DRAWS = 2_000
_TOLERANCE = 1e-5


def _hold(is_kept: Any, complaint: str) -> None:
    if not np.all(is_kept):
        raise AssertionError(complaint)


def _same(tree: PyTree, other: PyTree, *, nearly: bool = False) -> bool:
    """Whether two trees of one structure are equal, bit for bit or nearly."""
    pairs = list(zip(jax.tree.leaves(tree), jax.tree.leaves(other), strict=True))
    if not nearly:
        return all(np.array_equal(one, another) for one, another in pairs)
    return all(np.allclose(*pair, rtol=_TOLERANCE, atol=_TOLERANCE) for pair in pairs)


def nothing_is_wrong(case: Case) -> None:
    """`jaxparl.check_env` has nothing to say."""
    found = check_env(case.env, case.env_params)
    _hold(not found, "\n".join(found))


def a_step_returns_six_values(case: Case) -> None:
    """A step returns gymnax' values, with an axis of agents."""
    name, played = case.env.name, case.played
    shape = (STEPS, ENVS, case.env.num_agents)
    for what, leaf, wanted, kind in (
        ("reward", played.reward, shape, jnp.floating),
        ("info['principal_reward']", played.info["principal_reward"], shape, jnp.floating),
        ("info['outcome']", played.info["outcome"], shape, jnp.integer),
        ("terminated", played.terminated, shape[:2], jnp.bool_),
        ("truncated", played.truncated, shape[:2], jnp.bool_),
    ):
        is_right = leaf.shape == wanted and jnp.issubdtype(leaf.dtype, kind)
        _hold(is_right, f"{name}: {what} of its steps, of T and E, is {form(leaf)}")


def states_and_observations_keep_their_form(case: Case) -> None:
    """State and observation look the same from a reset and from every step."""
    env, key = case.env, jax.random.key(0)
    first = jax.eval_shape(env.reset, key, case.env_params)
    action = jax.ShapeDtypeStruct((env.num_agents,), jnp.int32)
    seen, state, *_, info = jax.eval_shape(env.step, key, first[1], action, case.env_params)
    for later in ((seen, state), (info["final_observation"], info["next_state"])):
        names = ("what its step returns", "what its reset returns")
        found = list(differences(later, first, names))
        _hold(not found, f"{env.name}: {'; '.join(found)}")


def the_time_limit_truncates(case: Case) -> None:
    """An episode is truncated at its time limit and not before, and that does not terminate it."""
    for played, limit in (
        (case.played, case.env_params.max_steps_in_episode),
        (case.played_short, SHORT),
    ):
        is_late = played.info["next_state"].time >= limit
        _hold(
            played.truncated == is_late,
            f"{case.env.name}: its episodes are not truncated at {limit} steps, or before",
        )


def an_end_is_followed_by_a_start(case: Case) -> None:
    """After an end the next episode starts at time 0, and otherwise the state goes on."""
    for played in (case.played, case.played_short):
        end, before, after = played.is_end, played.info["next_state"], played.after_state
        time = np.asarray(after.time)
        _hold(time[end] == 0, f"{case.env.name}: after an end, time {time[end].max(initial=0)}")
        on = jax.tree.map(lambda leaf, end=end: np.asarray(leaf)[~end], (before, after))
        _hold(_same(*on), f"{case.env.name}: its state changes between two steps")


@compiled_quickly
def _observations(env: Environment, states: PyTree, env_params: GameParams) -> Any:
    return jax.vmap(env.get_obs, (0, None))(states, env_params)  # over T and E


def the_last_observation_is_kept(case: Case) -> None:
    """What is observed after a step is of the next state, also where the episode is over."""
    for played in (case.played, case.played_short):
        for what, seen, state in (
            ("final_observation", played.info["final_observation"], played.info["next_state"]),
            ("observation", played.after_observation, played.after_state),
        ):
            own = _observations(case.env, ravel(state), case.env_params)
            is_kept = _same(ravel(seen), own, nearly=True)
            _hold(is_kept, f"{case.env.name}: the {what} of a step is of another state")


@compiled_quickly
def _rules_alone(env: Environment, played: Play, env_params: GameParams) -> Any:
    """The rewards `[T E]` of agents and principal by the rules, without a reset."""

    def rewards(key: jax.Array, state: PyTree, action: jax.Array):
        key_step, _ = jax.random.split(key)  # as gymnax' step splits it
        _, _, reward, _, info = env.step_env(key_step, state, action, env_params)
        return reward, info["principal_reward"]

    return jax.vmap(rewards)(played.keys, played.state, played.action)  # over T and E


def the_last_reward_is_kept(case: Case) -> None:
    """The rewards of a step are those of its rules, also where the episode is over."""
    for played, limit in ((case.played, None), (case.played_short, SHORT)):
        flat, env_params = ravel(played), case.env_params
        if limit is not None:
            env_params = as_arrays(env_params.replace(max_steps_in_episode=limit))
        own = _rules_alone(case.env, flat, env_params)
        returned = flat.reward, flat.info["principal_reward"]
        is_kept = _same(own, returned, nearly=True)
        _hold(is_kept, f"{case.env.name}: the rewards of its step are not those of its step_env")


def the_same_key_plays_the_same_game(case: Case) -> None:
    """Steps and params depend on nothing but what they are given."""
    once, again = (case.play(2)._replace(keys=None) for _ in range(2))
    _hold(_same(once, again), f"{case.env.name}: the same key plays two games")
    params = [case.env.sample_params(jax.random.key(0)) for _ in range(2)]
    _hold(_same(*params), f"{case.env.name}: its sample_params draws two params by the same key")


@compiled_quickly
def _outcomes(env: Environment, *given: Any) -> jax.Array:
    """Outcomes `[D, N]` of keys `[D]`, in one state."""
    keys, *rest = given
    return jax.vmap(lambda key: env.step(key, *rest)[-1]["outcome"])(keys)


def outcomes_are_as_frequent_as_their_probabilities(case: Case) -> None:
    """A step draws outcomes by `outcome_probs`, for every action of every agent."""
    env, agents = case.env, case.env.num_agents
    for number in range(3):
        state = jax.tree.map(lambda leaf, t=number: leaf[t, t], case.played.state)
        probs = np.asarray(env.outcome_probs(state, case.env_params))
        for action in range(env.num_actions):
            keys = jax.random.split(jax.random.key(100 * number + action), _DRAWS)
            drawn = np.asarray(
                _outcomes(env, keys, state, jnp.full(agents, action), case.env_params)
            )
            counts = (drawn[..., None] == np.arange(env.num_outcomes)).sum(axis=0)
            is_off = unlikely(counts, np.full(counts.shape, _DRAWS), probs[:, action])
            for agent, outcome in np.argwhere(is_off)[:1]:
                share = counts[agent, outcome] / _DRAWS
                said = probs[agent, action, outcome]
                raise AssertionError(
                    f"{env.name}: {share:.1%} of the steps of agent {agent} with action {action} "
                    f"have outcome {outcome}, but its outcome_probs say {said:.1%}"
                )


def a_batch_equals_its_members(case: Case) -> None:
    """A step of a batch, over games and over params, is what it is alone."""
    env, flat = case.env, ravel(case.played)
    for member in (0, 7, STEPS * ENVS - 1):
        one = jax.tree.map(lambda leaf, i=member: leaf[i], flat)
        alone = env.step(one.keys, one.state, one.action, case.env_params)
        is_same = _same(alone, tuple(one[3:]), nearly=True)
        _hold(is_same, f"{env.name}: a step in a batch is not what it is alone")

    key, action = jax.random.key(6), jnp.full(env.num_agents, env.num_actions - 1, jnp.int32)

    def reset_and_step(env_params: GameParams):
        return env.step(key, env.reset(key, env_params)[1], action, env_params)

    drawn = jax.jit(jax.vmap(env.sample_params))(jax.random.split(jax.random.key(5), 3))
    drawn = drawn.replace(max_steps_in_episode=jnp.array([1, SHORT, 50]))
    in_runs = jax.jit(jax.vmap(reset_and_step), compiler_options=quick_to_compile())  # over runs
    together = in_runs(drawn)
    for run in range(3):
        member, own = jax.tree.map(lambda leaf, run=run: leaf[run], (together, drawn))
        is_same = _same(reset_and_step(own), member, nearly=True)
        _hold(is_same, f"{env.name}: a step with params of a batch is not what it is alone")


def solutions_bound_each_other(case: Case) -> None:
    """By its exact solutions nobody loses by responding, and all together gain at most the best."""
    env, env_params = case.env, case.env_params
    try:
        solutions = solutions_of(env)
    except NotImplementedError:
        return
    rng = np.random.default_rng(0)
    env_params = as_arrays(env_params.replace(max_steps_in_episode=SHORT))
    shape = (solutions.num_states, env.num_agents)
    actions = jnp.asarray(rng.integers(0, env.num_actions, shape, dtype=np.int32))
    payments = jnp.asarray(rng.uniform(0, 0.1, (*shape, env.num_actions)), float)
    paid = jnp.take_along_axis(payments, actions[..., None], axis=2)[..., 0]
    followed = solutions.play_values(env_params, actions, paid)
    best = np.asarray(solutions.best_responses(env_params, actions, payments))
    gain = best - np.asarray(followed.utilities)
    slack = _TOLERANCE * np.maximum(1, np.abs(best))
    _hold(gain >= -slack, f"{env.name}: best responses lose, {gain.min():.6g}")
    most = float(solutions.optimal_welfare(env_params))
    for welfare in (followed.welfare, solutions.selfish_play(env_params).welfare):
        is_less = welfare <= most + _TOLERANCE * max(1.0, abs(most))
        _hold(is_less, f"{env.name}: play is worth {welfare:.6g}, more than the best, {most:.6g}")


#: All promises, those first whose breach explains others.
PROMISES: tuple[Callable[[Case], None], ...] = (
    nothing_is_wrong,
    a_step_returns_six_values,
    states_and_observations_keep_their_form,
    the_time_limit_truncates,
    an_end_is_followed_by_a_start,
    the_last_observation_is_kept,
    the_last_reward_is_kept,
    the_same_key_plays_the_same_game,
    outcomes_are_as_frequent_as_their_probabilities,
    a_batch_equals_its_members,
    solutions_bound_each_other,
)
