"""Exact solutions in float64, where JAX is told to use it; learning stays in float32."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Any

import coin_game_model as model
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small
import untrained
from coin_game_model import Model
from coin_games import build
from conftest import told
from jax import experimental
from oracles import largest_error, random_table, solve_by_backward_induction
from test_contracts import highs_expected_payment, random_programs, solve

from jaxparl.envs import make
from jaxparl.equilibrium import (
    TabularGame,
    backward_induction,
    best_response,
    meta_algorithm,
    stationary_meta_algorithm,
    value_iteration,
)
from jaxparl.evaluation.audit import audit
from jaxparl.training import make_train
from jaxparl.training.sweep import compile_training

# Before jax 0.8 the switch was in jax.experimental.
enable_x64: Any = jax.enable_x64 if hasattr(jax, "enable_x64") else vars(experimental)["enable_x64"]


@pytest.fixture(autouse=True)
def float64() -> Iterator[None]:
    with enable_x64(True):
        yield


def wide(tree):
    """The same numbers in float64."""
    return jax.tree.map(lambda leaf: np.float64(leaf) if leaf.dtype == np.float32 else leaf, tree)


def random_game(seed: int, **changes: Any) -> TabularGame:
    """A game whose rows sum to 1 in float64, too."""
    game = wide(random_table(np.random.default_rng(seed), 8, 3, 3, **changes))
    probs = game.outcome_probs / game.outcome_probs.sum(-1, keepdims=True)
    return dataclasses.replace(game, outcome_probs=probs)


# --- Contracts --------------------------------------------------------------------------------


def nearly_parallel_programs(seed, count, actions, outcomes):
    """All deviations but for 1e-6 to 1e-3 the same."""
    q, probs, _, nudge = wide(random_programs(seed, count, actions, outcomes))
    rng = np.random.default_rng(seed)
    closeness = 10 ** rng.uniform(-6, -3, (count, actions - 1, 1))
    probs[:, 1:] = probs[:, 1:2] + closeness * (probs[:, 1:] - probs[:, 1:2])
    q[:, 1:] = q[:, 1:2] + 1e-4 * q[:, 1:]
    q[:, 0] = q[:, 1] - np.abs(q[:, 0])
    return q, probs, np.zeros(count, int), nudge


@pytest.mark.parametrize("kind", ["dense", "zeros", "parallel"])
@pytest.mark.parametrize("shape", [(6, 2), (4, 3), (7, 8)])
def test_contracts_are_those_of_an_independent_solver_to_ten_digits(shape, kind):
    if kind == "parallel":
        q, probs, action, nudge = nearly_parallel_programs(0, 100, *shape)
    else:
        q, probs, action, nudge = wide(random_programs(0, 100, *shape, zeros=kind == "zeros"))
    # Rows that miss 1 by the rounding of float32 could be exploited.
    probs /= probs.sum(-1, keepdims=True)
    contract = jax.device_get(solve(q, probs, action, nudge))
    assert contract.payments.dtype == np.float64
    batch = zip(q, probs, action, nudge, strict=True)
    exact = np.array([highs_expected_payment(*program) for program in batch])
    # HiGHS takes gains of 1e-9 for 0.
    judged = np.isinf(exact) | (exact < 1e4)
    assert judged.mean() > 0.5
    np.testing.assert_array_equal(contract.implementable[judged], np.isfinite(exact)[judged])
    held = judged & contract.implementable
    np.testing.assert_allclose(contract.expected_payment[held], exact[held], rtol=1e-10, atol=1e-10)


# --- Games of one agent -----------------------------------------------------------------------


def test_equilibria_are_those_of_a_slow_solver(pytestconfig):
    errors = []
    for seed, changes in enumerate([{}, {"gamma": 0.9}, {"gamma": 0.9, "is_observed": True}]):
        game = random_game(seed, **changes)
        solution, oracle = backward_induction(game, 4), solve_by_backward_induction(game, 4)
        np.testing.assert_array_equal(solution.action, oracle.action)
        assert largest_error(solution, oracle) < 1e-9
        rounded = backward_induction(
            jax.tree.map(lambda leaf: leaf.astype("f4"), game).replace(successor=game.successor), 4
        )
        assert rounded.principal_value.dtype == np.float32
        errors.append(largest_error(rounded, oracle))
        result = meta_algorithm(game, 4, np.zeros_like(solution.contract))
        assert result.iterations <= 5
        np.testing.assert_allclose(result.equilibrium.contract, solution.contract, rtol=1e-14)
    assert max(errors) > 1e-9  # float32 would not pass
    told(pytestconfig).append(f"random games: float32 differs from float64 by {max(errors):.1e}")


@pytest.mark.slow
def test_games_without_a_horizon_settle_in_float64():
    game = random_game(3, gamma=0.5, is_observed=True)
    solution = value_iteration(game)
    result = stationary_meta_algorithm(game, np.zeros_like(solution.contract))
    np.testing.assert_allclose(
        result.equilibrium.principal_value, solution.principal_value, rtol=0, atol=1e-11
    )
    later = backward_induction(game, 60).principal_value[0]
    np.testing.assert_allclose(solution.principal_value, later, rtol=0, atol=1e-11)


def test_a_tie_is_as_wide_as_the_contracts_are_precise():
    game = random_game(4)
    solution = backward_induction(game, 3)

    def follows(contracts) -> bool:
        response = best_response(game, 3, contracts, solution.action)
        return bool((response.action == solution.action).all())

    contracts = np.asarray(solution.contract)
    assert contracts.any()
    assert follows(contracts)
    assert follows(contracts.astype(np.float32))
    short = contracts * (1 - 1e-7)
    assert not follows(short)
    assert follows(short.astype(np.float32))


@pytest.mark.slow
def test_a_tree_has_the_same_rewards_in_float64(pytestconfig):
    env, params = make("game_tree", depth=5)
    with enable_x64(False):
        same = env.default_params
        rounded = backward_induction(env.tabular(same), env.horizon)
    np.testing.assert_array_equal(params.agent_reward, same.agent_reward)
    table = env.tabular(params)
    solution = backward_induction(table, env.horizon)
    assert solution.principal_value.dtype == np.float64
    oracle = solve_by_backward_induction(table, env.horizon)
    assert largest_error(solution, oracle) < 1e-12
    error = largest_error(rounded, oracle)
    assert 1e-9 < error < 1e-5
    told(pytestconfig).append(f"a tree of depth 5: float32 differs from float64 by {error:.1e}")


# --- The Coin Game ----------------------------------------------------------------------------


def coin_solutions(env, params) -> dict[str, float]:
    found = env.exact.equilibrium(params, alpha=0.1)
    return {
        "optimal welfare": float(env.exact.optimal_welfare(params)),
        "selfish welfare": float(env.exact.selfish_play(params).welfare),
        "equilibrium welfare": float(found.welfare),
        "equilibrium payment": float(found.payment),
    }


def tell_differences(config, env, params) -> dict[str, float]:
    """The solutions in float64; how those in float32 differ is told."""
    found = coin_solutions(env, params)
    with enable_x64(False):
        rounded = coin_solutions(env, params)
    size = env.settings.grid_size
    told(config).extend(
        f"Coin Game {size}x{size}, {name}: {value:.12g}, in float32 {rounded[name] - value:+.1e}"
        for name, value in found.items()
    )
    assert all(abs(rounded[name] - value) < 1e-3 for name, value in found.items())
    return found


@pytest.mark.slow
def test_the_coin_game_is_solved_to_ten_digits(pytestconfig):
    env, params = build(3)
    found = tell_differences(pytestconfig, env, params)
    rules = Model(3)
    optimum = model.solve(rules, 20, model.most_welfare)[:2].sum()
    assert found["optimal welfare"] == pytest.approx(optimum, rel=1e-11)
    selfish = model.solve(rules, 20, model.selfish)[:2].sum()
    assert found["selfish welfare"] == pytest.approx(selfish, rel=1e-11)


@pytest.mark.slow
def test_the_coin_game_of_the_paper_differs_little_in_float32(pytestconfig):
    tell_differences(pytestconfig, *make("coin_game"))


def test_learned_contracts_are_audited_in_float64():
    problem = untrained.PROBLEM
    with enable_x64(False):  # as whatever is learned
        offered = untrained.offered()
        rounded = audit(problem, offered)
    found = audit(problem, offered)
    assert found.best_responses.dtype == np.float64
    np.testing.assert_allclose(found.best_responses, rounded.best_responses, rtol=1e-5)
    assert (np.asarray(found.best_responses) != rounded.best_responses).all()


def test_episodes_begin_alike_whatever_the_precision():
    env = small.COIN_ENV
    state = env.reset(jax.random.key(0))[1]
    with enable_x64(False):
        same = env.reset(jax.random.key(0))[1]
    assert jax.tree.all(jax.tree.map(jnp.array_equal, state, same))
    for env in (small.COIN_ENV, small.TREE_ENV):
        state, action = env.reset(jax.random.key(0))[1], jnp.zeros(env.num_agents, int)
        after = jax.eval_shape(env.step, jax.random.key(1), state, action)[1]
        assert jax.tree.all(jax.tree.map(lambda a, b: a.dtype == b.dtype, state, after))


# --- Learning ---------------------------------------------------------------------------------


def trace_of_training(config, game: str, **settings) -> str:
    train = make_train(config, *make(game, **settings))
    return str(jax.make_jaxpr(train)(jax.random.key(0)))


@contextlib.contextmanager
def learns_or_says_that_it_cannot() -> Iterator[None]:
    """Before jax 0.8, which has no public switch for a part of a program, learning is refused."""
    if jax.__version_info__ >= (0, 8):
        yield
    else:
        with pytest.raises(ValueError, match=r"unset JAX_ENABLE_X64, or upgrade to jax 0\.8"):
            yield


def test_a_run_computes_the_same_in_float32():
    for config, game in (
        (small.TREE_CONFIG, "game_tree"),
        (dataclasses.replace(untrained.CONFIG, max_gradient_norm=1.0), "coin_game"),
    ):
        settings = {"depth": 3} if game == "game_tree" else {"grid_size": 2}
        with learns_or_says_that_it_cannot():
            found = trace_of_training(config, game, **settings)
            with enable_x64(False):
                assert found == trace_of_training(config, game, **settings)
            assert "f64" not in found and "i64" not in found


@pytest.mark.slow
def test_a_sweep_learns_the_same_bits():
    with enable_x64(False):
        expected = small.trained_trees()
    with learns_or_says_that_it_cannot():
        runs = compile_training(small.TREE_CONFIG, small.TREE_ENV, small.TREE_RUNS, lanes=1)
        found = small.finish(small.TREE_CONFIG, runs)
        assert small.largest_difference(found.runs, expected.runs) == 0
