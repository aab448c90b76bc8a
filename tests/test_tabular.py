"""Tables that are wrong are refused in one line, whoever is to solve them."""

import dataclasses

import jax
import numpy as np
import pytest
from oracles import figure_one_game, stack

from jaxparl.equilibrium import backward_induction, best_response, meta_algorithm
from jaxparl.stationary import stationary_meta_algorithm, value_iteration
from jaxparl.tabular import check_game


def with_entry(game, table, entry):
    """The game with the first entry of one table replaced."""
    wrong = np.array(getattr(game, table))
    wrong[(0,) * wrong.ndim] = entry
    return dataclasses.replace(game, **{table: wrong})


@pytest.mark.parametrize(
    ("table", "entry", "message"),
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
def test_a_wrong_table_is_refused_in_one_line(table, entry, message):
    game = figure_one_game()
    check_game(game)
    wrong = with_entry(game, table, entry)
    for refused in (wrong, stack([wrong, game])):
        with pytest.raises(ValueError, match=f"^the game has {message}$"):
            check_game(refused)


@pytest.mark.parametrize(
    "solve",
    [
        lambda game: backward_induction(game, 2),
        lambda game: best_response(game, 2, np.zeros((2, 3, 2)), np.zeros((2, 3), int)),
        lambda game: meta_algorithm(game, 2, np.zeros((2, 3, 2))),
        lambda game: value_iteration(game),
        lambda game: stationary_meta_algorithm(game, np.zeros((3, 2))),
    ],
)
def test_every_solver_looks_at_the_tables_first(solve):
    with pytest.raises(ValueError, match=r"^the game has NaN or infinity$"):
        solve(with_entry(figure_one_game(), "agent_reward", np.nan))


@pytest.mark.parametrize(
    "solve", [value_iteration, lambda game: stationary_meta_algorithm(game, np.zeros((3, 2)))]
)
def test_a_game_without_a_horizon_needs_a_discount_below_one(solve):
    game = figure_one_game()
    check_game(game)
    with pytest.raises(ValueError, match=r"^the game has a discount of 1 but no horizon$"):
        solve(game)


def test_tables_that_are_traced_pass():
    wrong = with_entry(figure_one_game(), "successor", 7)
    jax.eval_shape(check_game, wrong)
