"""Every solver rejects an invalid table in one line."""

import dataclasses

import jax
import numpy as np
import pytest
from oracles import figure_one_table, stack

from jaxparl.equilibrium import (
    backward_induction,
    best_response,
    check_table,
    meta_algorithm,
    stationary_meta_algorithm,
    value_iteration,
)


def with_entry(table, field, entry):
    """The table with the first entry of one array replaced."""
    wrong = np.array(getattr(table, field))
    wrong[(0,) * wrong.ndim] = entry
    return dataclasses.replace(table, **{field: wrong})


@pytest.mark.parametrize(
    ("field", "entry", "message"),
    [
        ("outcome_probs", 0.5, "a row of outcome_probs that does not sum to 1"),
        ("outcome_probs", -0.1, "a negative outcome probability"),
        ("agent_reward", np.nan, "NaN or infinity"),
        ("successor", 7, "a successor outside of its 3 states"),
        ("successor", -1, "a successor outside of its 3 states"),
        ("successor_probs", 1.5, "a row of successor_probs that sums to more than 1"),
        ("successor_probs", -0.5, "a negative successor probability"),
        ("discount", 1.5, r"a discount outside of \[0, 1\]"),
    ],
)
def test_an_invalid_table_is_rejected_in_one_line(field, entry, message):
    table = figure_one_table()
    check_table(table)
    wrong = with_entry(table, field, entry)
    for rejected in (wrong, stack([wrong, table])):
        with pytest.raises(ValueError, match=f"^the table has {message}$"):
            check_table(rejected)


@pytest.mark.parametrize(
    "solve",
    [
        lambda table: backward_induction(table, 2),
        lambda table: best_response(table, 2, np.zeros((2, 3, 2)), np.zeros((2, 3), int)),
        lambda table: meta_algorithm(table, 2, np.zeros((2, 3, 2))),
        lambda table: value_iteration(table),
        lambda table: stationary_meta_algorithm(table, np.zeros((3, 2))),
    ],
)
def test_every_solver_checks_the_table_first(solve):
    with pytest.raises(ValueError, match=r"^the table has NaN or infinity$"):
        solve(with_entry(figure_one_table(), "agent_reward", np.nan))


@pytest.mark.parametrize(
    "solve", [value_iteration, lambda table: stationary_meta_algorithm(table, np.zeros((3, 2)))]
)
def test_a_table_without_a_horizon_needs_a_discount_below_one(solve):
    table = figure_one_table()
    check_table(table)
    with pytest.raises(ValueError, match=r"^the table has a discount of 1 but no horizon$"):
        solve(table)


def test_a_traced_table_passes():
    wrong = with_entry(figure_one_table(), "successor", 7)
    jax.eval_shape(check_table, wrong)
