"""Exact solutions with a horizon: by hand, against a slow oracle, and by the paper's theorems."""

import dataclasses
from typing import NamedTuple

import jax
import numpy as np
import pytest
from oracles import (
    figure_one_table,
    largest_error,
    random_table,
    random_tree,
    solve_by_backward_induction,
    stack,
)

from jaxparl.equilibrium import (
    TIE_TOLERANCE,
    Equilibrium,
    TabularGame,
    backward_induction,
    best_response,
    meta_algorithm,
)


def solve(tables, horizon):
    return jax.vmap(lambda table: backward_induction(table, horizon))(tables)  # Over the tables.


def respond(tables, horizon, contracts, recommended):
    # Over the tables.
    return jax.vmap(lambda table, *given: best_response(table, horizon, *given))(
        tables, contracts, recommended
    )


def entry(stacked, i):
    return jax.tree.map(lambda leaf: leaf[i], stacked)


def assert_values_equal(solution, other, atol=1e-5):
    np.testing.assert_allclose(solution.agent_value, other.agent_value, rtol=0, atol=atol)
    np.testing.assert_allclose(solution.principal_value, other.principal_value, rtol=0, atol=atol)


class Solved(NamedTuple):
    """Tables of one shape, with a leading axis, and their equilibria."""

    tables: TabularGame
    horizon: int
    solution: Equilibrium


# Two outcomes have a closed form, as in the trees, and the other shape needs the simplex. A shape
# takes seconds to compile, so the tests of random tables share these.
@pytest.fixture(
    scope="module",
    params=[(3, 4, 2), (6, 4, 4)],
    ids="T{0[0]}-A{0[1]}-O{0[2]}".format,
)
def solved(request) -> Solved:
    horizon, actions, outcomes = request.param
    shape = (np.random.default_rng([horizon, actions, outcomes]), 10, actions, outcomes)
    first = random_table(*shape, gamma=0.9, is_observed=actions == outcomes)
    discounted = random_table(*shape, gamma=0.9)
    tables = stack([first, discounted, *(random_table(*shape) for _ in range(3))])
    return Solved(tables, horizon, solve(tables, horizon))


@pytest.fixture(scope="module")
def solved_trees() -> Solved:
    trees = stack([random_tree(np.random.default_rng(seed), 4) for seed in range(3)])
    return Solved(trees, 4, solve(trees, 4))


# --- Figure 1 ---------------------------------------------------------------------------------


def test_the_game_of_figure_one_has_the_equilibrium_that_is_found_by_hand():
    solution = backward_induction(figure_one_table(), 2)
    # A step leaves the agent 0.9 x 1 - 0.8 and the principal 0.9 x (14/9 - 1). s0 comes first;
    # at t = 0 the game ends after sL and sR, which can only be reached at t = 1.
    np.testing.assert_array_equal(solution.action, 0)
    np.testing.assert_allclose(solution.contract, np.tile([1.0, 0.0], (2, 3, 1)), atol=1e-6)
    np.testing.assert_allclose(solution.agent_value, [[0.2, 0.1, 0.1], [0.1] * 3], atol=1e-6)
    np.testing.assert_allclose(solution.principal_value, [[1, 0.5, 0.5], [0.5] * 3], atol=1e-6)


def test_the_game_of_figure_one_is_solved_in_three_iterations_from_any_contracts():
    table = figure_one_table()
    exact = np.asarray(backward_induction(table, 2).contract)
    starts = np.random.default_rng(0).uniform(0, 3, (200, 2, 3, 2)).astype(np.float32)
    starts[0] = exact
    # Over 200 starts.
    result = jax.vmap(lambda start: meta_algorithm(table, 2, start))(starts)
    assert result.iterations.max() == 3
    np.testing.assert_allclose(result.equilibrium.contract, exact[None].repeat(200, 0))
    assert np.isfinite(result.principal_q_change).all()
    # From the equilibrium one iteration confirms it; its change is measured from zero.
    assert result.iterations[0] == 1
    assert result.principal_q_change[0, 0] > 0
    np.testing.assert_array_equal(result.principal_q_change[0, 1:], 0)


# --- Theorem 3.3 and the oracle ---------------------------------------------------------------


def test_the_meta_algorithm_finds_the_equilibrium_in_one_iteration_more_than_steps(solved):
    tables, horizon, solution = solved
    starts = np.random.default_rng(0).uniform(0, 3, solution.contract.shape).astype(np.float32)
    # Over the tables.
    run = jax.vmap(lambda table, start: meta_algorithm(table, horizon, start))
    result = run(tables, starts)
    assert result.iterations.max() <= horizon + 1
    assert_values_equal(result.equilibrium, solution)
    assert result.principal_q_change.shape == (5, horizon + 1)
    # The result is final to the bit: from there one iteration confirms it.
    assert run(tables, result.equilibrium.contract).iterations.max() == 1


def test_backward_induction_agrees_with_the_oracle_on_trees(solved_trees):
    for i in range(3):
        oracle = solve_by_backward_induction(entry(solved_trees.tables, i), solved_trees.horizon)
        assert largest_error(entry(solved_trees.solution, i), oracle) < 1e-5


def test_backward_induction_agrees_with_the_oracle_on_random_tables(solved):
    for i in (0, 1, 2):
        solution = entry(solved.solution, i)
        oracle = solve_by_backward_induction(entry(solved.tables, i), solved.horizon)
        assert largest_error(solution, oracle) < 1e-5
        np.testing.assert_array_equal(solution.action, oracle.action)
        np.testing.assert_allclose(solution.contract, oracle.contract, atol=1e-4)


def test_nothing_follows_where_the_game_ends(solved):
    nowhere = np.zeros_like(solved.tables.successor_probs)
    ending = solve(dataclasses.replace(solved.tables, successor_probs=nowhere), solved.horizon)
    last = solved.solution.principal_value[:, -1:]
    np.testing.assert_array_equal(ending.principal_value, last.repeat(solved.horizon, axis=1))


# --- Best responses ---------------------------------------------------------------------------


def assert_response_is_the_solution(solved):
    tables, horizon, solution = solved
    response = respond(tables, horizon, solution.contract, solution.action)
    np.testing.assert_array_equal(response.action, solution.action)
    assert_values_equal(response, solution)


def test_the_best_response_to_the_equilibrium_contracts_is_the_equilibrium(solved):
    assert_response_is_the_solution(solved)


def test_the_best_response_to_the_equilibrium_contracts_of_trees_is_the_equilibrium(solved_trees):
    assert_response_is_the_solution(solved_trees)


def test_an_agent_that_is_paid_nothing_is_selfish():
    table = random_tree(np.random.default_rng(0), 5)
    contracts, recommended = np.zeros((5, 31, 2), np.float32), np.ones((5, 31), int)
    response = best_response(table, 5, contracts, recommended)
    # Effort costs the agent and no payment makes up for it, so it never makes any.
    np.testing.assert_array_equal(response.action, 0)
    np.testing.assert_array_equal(response.agent_value, 0)
    by_hand = 0.1 * table.principal_reward[:, 1]
    np.testing.assert_allclose(response.principal_value[-1], by_hand, rtol=1e-6)


def test_no_recommendation_is_worth_more_to_the_agent_than_its_best_response():
    rng = np.random.default_rng(1)
    table, horizon = random_table(rng, 30, 3, 3), 5
    contracts = rng.uniform(0, 1, (horizon, 30, 3)).astype(np.float32)
    recommended = rng.integers(0, 3, (horizon, 30))
    response = best_response(table, horizon, contracts, recommended)
    value = np.zeros(30)
    for t in reversed(range(horizon)):
        continuation = (table.successor_probs * value[table.successor]).sum(-1)
        by_outcome = contracts[t] + continuation
        utility = table.agent_reward + (table.outcome_probs * by_outcome[:, None]).sum(-1)
        value = utility[np.arange(30), recommended[t]]
        assert (response.agent_value[t] >= value - horizon * TIE_TOLERANCE).all()
    assert (response.action != recommended).any()


def test_a_tie_goes_to_the_recommendation_and_a_loss_does_not():
    table = figure_one_table()
    for action in (0, 1):
        fair = np.tile(np.float32([1, 0]), (2, 3, 1))
        response = best_response(table, 2, fair, np.full((2, 3), action))
        np.testing.assert_array_equal(response.action, action)
    short = np.tile(np.float32([0.999, 0]), (2, 3, 1))
    np.testing.assert_array_equal(best_response(table, 2, short, np.zeros((2, 3), int)).action, 1)


def test_contracts_of_the_wrong_shape_are_rejected():
    table = figure_one_table()
    with pytest.raises(AssertionError):
        meta_algorithm(table, 2, np.zeros((3, 2)))
    with pytest.raises(AssertionError):
        best_response(table, 2, np.zeros((2, 3, 2)), np.zeros(3, int))
