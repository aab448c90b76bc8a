"""Games without a horizon: where the solvers settle, and what Theorem 3.4 holds of them."""

import jax
import numpy as np
import pytest
from oracles import figure_one_game, largest_ratio, principal_backups, random_game, stack

from jaxparl.equilibrium import backward_induction
from jaxparl.stationary import stationary_meta_algorithm, value_iteration


def assert_values_equal(solution, other, atol):
    np.testing.assert_allclose(solution.agent_value, other.agent_value, rtol=0, atol=atol)
    np.testing.assert_allclose(solution.principal_value, other.principal_value, rtol=0, atol=atol)


@pytest.mark.parametrize("is_observed", [False, True])
def test_value_iteration_is_backward_induction_over_a_long_horizon(is_observed):
    game = random_game(np.random.default_rng(2), 8, 3, 3, 0.8, is_observed)
    stationary, long = value_iteration(game), backward_induction(game, 100)
    first = jax.tree.map(lambda table: table[0], long)
    np.testing.assert_array_equal(stationary.action, first.action)
    np.testing.assert_allclose(stationary.contract, first.contract, atol=1e-4)
    assert_values_equal(stationary, first, atol=1e-4)


def test_the_principals_backup_contracts_by_the_discount_while_the_response_is_fixed():
    rng = np.random.default_rng(3)
    for discount in (0.5, 0.9):
        games = stack([random_game(rng, 8, 3, 3, discount) for _ in range(20)])
        q_truncated = rng.uniform(-2, 1, (20, 8, 3)).astype(np.float32)
        # Over 20 games.
        changes = jax.vmap(lambda game, q: principal_backups(game, 40, q))(games, q_truncated)
        largest = max(map(largest_ratio, np.asarray(changes)))
        assert 0.9 * discount < largest <= discount + 1e-3


def test_with_observed_actions_the_stationary_meta_algorithm_finds_the_equilibrium():
    rng = np.random.default_rng(4)
    games = [random_game(rng, 8, 3, 3, 0.8, is_observed=True) for _ in range(20)]
    starts = rng.uniform(0, 3, (20, 8, 3)).astype(np.float32)
    # Over 20 games.
    run = jax.vmap(lambda game, start: stationary_meta_algorithm(game, start, max_iterations=40))
    solution = stack([value_iteration(game) for game in games])
    # Without payments the agent is worth to itself what it is worth when just kept indifferent.
    selfish = run(stack(games), 0 * starts)
    assert selfish.iterations.max() == 2
    assert_values_equal(selfish.equilibrium, solution, atol=1e-4)
    anywhere = run(stack(games), starts)
    assert anywhere.iterations.max() < 40
    assert_values_equal(anywhere.equilibrium, solution, atol=2e-3)


def test_with_hidden_actions_algorithm_1_can_go_in_a_circle():
    # Two states in which the agent's rent in one decides the action that is wanted in the other.
    rng = np.random.default_rng(5)
    game = [random_game(rng, 2, 2, 2, 0.5) for _ in range(176)][-1]
    contracts, contracts_before = np.zeros((2, 2), np.float32), np.zeros((2, 2), np.float32)
    for lap in range(6):
        contracts_before = contracts
        result = stationary_meta_algorithm(game, contracts, max_iterations=2)
        contracts = np.asarray(result.equilibrium.contract)
        assert result.iterations == 2, f"settled in lap {lap}"
        np.testing.assert_allclose(result.principal_q_change[1], 0.010885, atol=1e-4)
    # The contracts are those of two iterations ago, and not those of one.
    np.testing.assert_allclose(contracts, contracts_before, atol=1e-5)
    with pytest.raises(RuntimeError, match="did not settle within 50 backups"):
        value_iteration(game, max_iterations=50)


def test_contracts_of_the_wrong_shape_are_refused():
    game = figure_one_game()
    game = game.replace(discount=np.float32(0.5))
    with pytest.raises(AssertionError):
        stationary_meta_algorithm(game, np.zeros((2, 3, 2)))
