"""Tables without a horizon: where the solvers settle, and which parts of Theorem 3.4 hold."""

import jax
import numpy as np
import pytest
from oracles import figure_one_table, largest_ratio, principal_backups, random_table, stack

from jaxparl.equilibrium import backward_induction, stationary_meta_algorithm, value_iteration


def assert_values_equal(solution, other, atol):
    np.testing.assert_allclose(solution.agent_value, other.agent_value, rtol=0, atol=atol)
    np.testing.assert_allclose(solution.principal_value, other.principal_value, rtol=0, atol=atol)


@pytest.mark.parametrize("is_observed", [False, True])
def test_value_iteration_is_backward_induction_over_a_long_horizon(is_observed):
    rng = np.random.default_rng(2)
    table = random_table(rng, 8, 3, 3, gamma=0.8, is_observed=is_observed)
    stationary, long = value_iteration(table), backward_induction(table, 100)
    first = jax.tree.map(lambda leaf: leaf[0], long)
    np.testing.assert_array_equal(stationary.action, first.action)
    np.testing.assert_allclose(stationary.contract, first.contract, atol=1e-4)
    assert_values_equal(stationary, first, atol=1e-4)


def test_the_principals_backup_contracts_by_the_discount_while_the_response_is_fixed():
    rng = np.random.default_rng(3)
    # Over the tables.
    backups = jax.vmap(lambda table, q: principal_backups(table, 40, q))
    for gamma in (0.5, 0.9):
        tables = stack([random_table(rng, 8, 3, 3, gamma=gamma) for _ in range(20)])
        q_truncated = rng.uniform(-2, 1, (20, 8, 3)).astype(np.float32)
        largest = max(map(largest_ratio, np.asarray(backups(tables, q_truncated))))
        assert 0.9 * gamma < largest <= gamma + 1e-3


def test_with_observed_actions_the_stationary_meta_algorithm_finds_the_equilibrium():
    rng = np.random.default_rng(4)
    tables = [random_table(rng, 8, 3, 3, gamma=0.8, is_observed=True) for _ in range(20)]
    starts = rng.uniform(0, 3, (20, 8, 3)).astype(np.float32)
    # Over the tables.
    run = jax.vmap(lambda table, start: stationary_meta_algorithm(table, start, max_iterations=40))
    solution = stack([value_iteration(table) for table in tables])
    # The agent has the same value without payments as when it is kept just indifferent.
    selfish = run(stack(tables), 0 * starts)
    assert selfish.iterations.max() == 2
    assert_values_equal(selfish.equilibrium, solution, atol=1e-4)
    anywhere = run(stack(tables), starts)
    assert anywhere.iterations.max() < 40
    assert_values_equal(anywhere.equilibrium, solution, atol=2e-3)


def test_with_hidden_actions_algorithm_1_can_cycle():
    # Two states in which the agent's rent in one decides the action that is wanted in the other.
    rng = np.random.default_rng(5)
    table = [random_table(rng, 2, 2, 2, gamma=0.5) for _ in range(176)][-1]
    contracts, contracts_before = np.zeros((2, 2), np.float32), np.zeros((2, 2), np.float32)
    for lap in range(6):
        contracts_before = contracts
        result = stationary_meta_algorithm(table, contracts, max_iterations=2)
        contracts = np.asarray(result.equilibrium.contract)
        assert result.iterations == 2, f"settled in lap {lap}"
        np.testing.assert_allclose(result.principal_q_change[1], 0.010885, atol=1e-4)
    # The contracts are those of two iterations ago, and not those of one.
    np.testing.assert_allclose(contracts, contracts_before, atol=1e-5)
    with pytest.raises(RuntimeError, match="did not settle within 50 backups"):
        value_iteration(table, max_iterations=50)


def test_contracts_of_the_wrong_shape_are_rejected():
    table = figure_one_table().replace(discount=np.float32(0.5))
    with pytest.raises(AssertionError):
        stationary_meta_algorithm(table, np.zeros((2, 3, 2)))
