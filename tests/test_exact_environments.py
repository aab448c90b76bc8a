"""What every environment of the registry keeps to that says how it is solved exactly.

Here it is compared by other means than those of `jaxparl.check_env`, which it passes, too.
"""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from environment_play import NAMES, case_of

from jaxparl.environment import ExactSolutions, ExactTable, Tabulation
from jaxparl.equilibrium import JointSolutions, check_table, solutions_of


@pytest.fixture(scope="module", params=NAMES)
def case(request):
    return case_of(request.param)


def only(case, kind):
    """The exact solutions of this kind, or the test is skipped."""
    if not isinstance(case.env.exact, kind):
        pytest.skip(f"the exact side of {case.env.name} is of another kind")
    return case.env.exact


def is_state(state, other):
    """Whether two states are the same, `[]`; traceable."""
    equal = jax.tree.map(lambda leaf, leaf_other: (leaf == leaf_other).all(), state, other)
    return jnp.stack(jax.tree.leaves(equal)).all()


def test_one_agent_has_a_table_and_several_have_solutions(case):
    kind = (ExactTable if case.env.num_agents == 1 else ExactSolutions), Tabulation
    assert case.env.exact is None or isinstance(case.env.exact, kind)


def test_all_states_are_enumerated_once_in_the_form_of_a_state(case):
    exact = only(case, ExactTable | ExactSolutions | Tabulation)
    states = exact.states()
    chex.assert_trees_all_equal_dtypes(states, case.played.state)
    leaves = [np.asarray(leaf).reshape(exact.num_states, -1) for leaf in jax.tree.leaves(states)]
    assert len(np.unique(np.concatenate(leaves, axis=1), axis=0)) == exact.num_states


# --- Tables, of one agent ---------------------------------------------------------------------


def table_of(case):
    return case.env.tabular(case.env_params)


def test_an_environment_without_a_table_says_so(case):
    if isinstance(case.env.exact, ExactTable | Tabulation):
        pytest.skip(f"{case.env.name} has a table")
    with pytest.raises(NotImplementedError, match=f"{case.env.name} has no exact table"):
        case.env.tabular(case.env_params)
    with pytest.raises(NotImplementedError, match="no exact table"):
        _ = case.env.horizon


def test_an_environment_without_solutions_says_so(case):
    exact = case.env.exact
    if isinstance(exact, ExactSolutions):
        assert solutions_of(case.env) == exact
    elif isinstance(exact, Tabulation):
        assert solutions_of(case.env) == JointSolutions(exact)
    elif isinstance(exact, ExactTable):
        assert solutions_of(case.env).num_states == exact.num_states
    else:
        with pytest.raises(NotImplementedError, match=f"{case.env.name} has no exact solutions"):
            _ = solutions_of(case.env)


def test_the_table_is_a_game_that_can_be_solved(case):
    exact, table = only(case, ExactTable), table_of(case)
    check_table(table)
    assert table.agent_reward.shape == (exact.num_states, case.env.num_actions)
    assert table.principal_reward.shape == (exact.num_states, case.env.num_outcomes)
    assert np.float32(case.env_params.discount) == table.discount
    assert case.env.horizon == exact.horizon


def test_play_starts_where_the_table_says_and_is_over_within_the_horizon(case):
    exact, steps = only(case, ExactTable), case.played
    start_probs = np.asarray(case.env.start_probs(case.env_params))
    assert start_probs.shape == (exact.num_states,)
    np.testing.assert_allclose(start_probs.sum(), 1, rtol=1e-6)
    starts = jax.tree.map(lambda leaf: leaf[0], steps.state)
    same = jax.vmap(jax.vmap(is_state, (0, None)), (None, 0))(exact.states(), starts)
    np.testing.assert_array_equal(same.sum(axis=1), 1)
    assert (start_probs[same.argmax(axis=1)] > 0).all()
    assert steps.info["next_state"].time.max() <= exact.horizon


def test_the_table_agrees_with_every_step_from_every_state(case):
    only(case, ExactTable)
    env, params, table = case.env, case.env_params, table_of(case)
    states = env.exact.states()

    def compare(index, action, key):
        state = jax.tree.map(lambda leaf: leaf[index], states)
        *_, reward, terminated, _, info = env.step(key, state, action[None], params)
        outcome, probs = info["outcome"][0], env.outcome_probs(state, params)[0]
        successor_probs = table.successor_probs[index, outcome]
        successors = jax.tree.map(lambda leaf: leaf[table.successor[index, outcome]], states)
        is_reached = jax.vmap(is_state, (0, None))(successors, info["next_state"])  # over K
        goes_on = successor_probs.sum()
        principal_reward = info["principal_reward"][0]
        return outcome, {
            "outcome_probs": jnp.allclose(probs, table.outcome_probs[index]),
            "agent_reward": reward[0] == table.agent_reward[index, action],
            "principal_reward": principal_reward == table.principal_reward[index, outcome],
            "end": jnp.where(terminated, goes_on < 1 - 1e-6, goes_on > 0),
            "successor": terminated | (is_reached & (successor_probs > 0)).any(),
        }

    size, actions = table.agent_reward.shape
    over_draws = jax.vmap(compare, (None, None, 0))
    over_actions = jax.vmap(over_draws, (None, 0, None))
    over_states = jax.jit(jax.vmap(over_actions, (0, None, None)))
    keys = jax.random.split(jax.random.key(0), 128)
    outcome, agrees = over_states(jnp.arange(size), jnp.arange(actions), keys)
    wrong = {what: int((~np.asarray(holds)).sum()) for what, holds in agrees.items()}
    assert not any(wrong.values()), wrong
    # Every outcome that is not rare has come out in every state.
    seen = np.stack([(outcome == o).any(axis=(1, 2)) for o in range(env.num_outcomes)], axis=-1)
    assert seen[(table.outcome_probs > 0.05).any(axis=1)].all()


# --- Solutions, of several agents -------------------------------------------------------------


def test_a_principal_that_pays_nothing_for_payments_gets_the_optimum(case):
    exact = only(case, ExactSolutions)
    params = case.env_params.replace(max_steps_in_episode=2)
    optimum = exact.optimal_welfare(params)
    np.testing.assert_allclose(exact.equilibrium(params, 0.0).welfare, optimum, rtol=1e-5)
