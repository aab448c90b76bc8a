"""Games whose exact side is of another game are refused before anything is traced."""

from __future__ import annotations

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from command_line import fails, train
from oracles import solve_by_backward_induction
from table_games import CONFIG, FAULTS, HORIZON, STATES, Settings, TableGame, registered, sound
from untrained import noise

from jaxparl import evaluation
from jaxparl.envs import REGISTRY, make
from jaxparl.envs.coin_game import CoinGame
from jaxparl.envs.coin_game import Settings as CoinSettings
from jaxparl.equilibrium import best_response
from jaxparl.evaluation.checks import check_game
from jaxparl.evaluation.checks.table_checks import longest_episode
from jaxparl.evaluation.offers import learned_offers
from jaxparl.learning.learner import make_learner
from jaxparl.learning.problem import Problem
from jaxparl.learning.state import Losses, target_weights
from jaxparl.training import make_train
from jaxparl.training.runs import grid
from jaxparl.training.sweep import compile_training

GAME, DECLARED = TableGame(), TableGame(Settings(declares_start=True))


def problem(env, env_params):
    return Problem(CONFIG, env, env_params, CONFIG.hyper_params)


@pytest.mark.parametrize("name", list(REGISTRY))
def test_the_games_that_come_with_jaxparl_are_sound(name):
    check_game(*make(name))


@pytest.mark.parametrize("seed", range(5))
def test_a_sound_game_passes(seed):
    check_game(GAME, sound(seed, start=seed))


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault != "huge"])
def test_a_table_of_another_game_is_refused_before_anything_is_traced(fault):
    change, complaint = FAULTS[fault]
    with pytest.raises(ValueError, match=f"^TableGame: {complaint}"):
        make_train(CONFIG, GAME, change(sound()))


def test_params_that_are_traced_pass_and_those_that_are_known_do_not():
    wrong = FAULTS["rows"][0](sound())
    jax.eval_shape(partial(check_game, GAME), wrong)
    with pytest.raises(ValueError, match="TableGame: the table has a row"):
        jax.eval_shape(lambda: check_game(GAME, wrong))


def test_a_sweep_says_which_game_is_wrong():
    with pytest.raises(ValueError, match=r"^game 3 of TableGame: the table has NaN or infinity$"):
        compile_training(CONFIG, TableGame(Settings(fault="nan")), grid([3], [0]))


@pytest.mark.parametrize("fault", ["rows", "negative", "nan", "agent_reward", "successor", "start"])
def test_the_command_line_refuses_a_wrong_table_in_one_line(fault, capsys, tmp_path, monkeypatch):
    monkeypatch.setitem(REGISTRY, "wrong", registered())
    place = ("--out", str(tmp_path / "run"))
    for arguments in (("train", "wrong", *place), ("plan", "wrong")):
        shown = fails(capsys, *arguments, "--fault", fault)
        assert shown.startswith("error: game 0 of TableGame: ")
        assert shown.count("error") == 1
    assert not (tmp_path / "run").exists()


def test_exact_values_that_are_not_finite_end_a_run_before_it_trains(capsys, tmp_path, monkeypatch):
    monkeypatch.setitem(REGISTRY, "wrong", registered())
    assert train(tmp_path / "run", "wrong", "--fault", "huge", "--games", "2:3") == 1
    shown = capsys.readouterr().err
    assert "error: the exact principal_utility of game 2 is inf\n" in shown
    assert "Traceback" not in shown


# --- Where episodes start ---------------------------------------------------------------------


def start_somewhere():
    """A sound game that starts in one of three states, and says how likely each is."""
    start = np.float32([0.25, 0, 0.5, 0, 0.25])
    return sound().replace(start=start, told_start=start)


@pytest.mark.parametrize("is_random", [False, True])
def test_exact_values_are_of_where_episodes_start(is_random):
    env, env_params = (DECLARED, start_somewhere()) if is_random else (GAME, sound())
    check_game(env, env_params)
    env_params = jax.tree.map(jnp.asarray, env_params)
    expected = solve_by_backward_induction(env_params.rules, HORIZON)
    exact = evaluation.solve(problem(env, env_params))
    start = np.asarray(env_params.start)
    principal, agent = expected.principal_value[0] @ start, expected.agent_value[0] @ start
    np.testing.assert_allclose(exact.principal_utility, principal, atol=1e-4)
    np.testing.assert_allclose(exact.agent_utility, agent, atol=1e-4)
    # That is another value than that of the first state.
    assert abs(exact.principal_utility - expected.principal_value[0, 0]) > 0.01

    learns = make_learner(problem(env, env_params))
    state = noise(learns, jax.random.key(0))
    found = evaluation.evaluate(learns, exact, state, Losses(*jnp.zeros(3)))
    offered = learned_offers(learns, target_weights(state))
    at_every_step = [
        jnp.broadcast_to(leaf[:, 0], (HORIZON, *leaf[:, 0].shape))
        for leaf in (offered.contract.payments, offered.recommendation)
    ]
    response = best_response(env_params.rules, HORIZON, *at_every_step)
    np.testing.assert_allclose(
        found.principal_utility, response.principal_value[0] @ start, rtol=1e-5
    )
    np.testing.assert_allclose(found.agent_utility, response.agent_value[0] @ start, rtol=1e-5)


@pytest.mark.parametrize(
    ("start", "complaint"),
    [
        ([0.5, 0.5, 0.5, 0, 0], "the start_probs of its table are no probabilities that sum to 1"),
        ([1.5, -0.5, 0, 0, 0], "the start_probs of its table are no probabilities that sum to 1"),
        ([1, 0], r"the start_probs of its table have the shape \(2,\), not \(5,\)"),
        ([0.5, 0, 0.5, 0, 0], r"\d+ of 1024 episodes start in state 0, but .* say 0.5$"),
        ([0.7, 0, 0.05, 0, 0.25], r"\d+ of 1024 episodes start in state 0, but .* say 0.7$"),
    ],
)
def test_declared_starts_that_are_not_those_of_episodes_are_refused(start, complaint):
    with pytest.raises(ValueError, match=complaint):
        check_game(DECLARED, start_somewhere().replace(told_start=np.float32(start)))


class LateTable(type(GAME.exact)):  # type: ignore[misc]
    """A table in which no state is one that an episode starts in."""

    def states(self):
        return dataclasses.replace(super().states(), time=jnp.ones(STATES, jnp.int32))


class LateGame(TableGame):
    exact = LateTable(declares_start=False)


def test_a_start_that_the_table_does_not_have_is_refused():
    with pytest.raises(ValueError, match="a state that its table must have exactly once"):
        check_game(LateGame(), sound())


# --- How long episodes are --------------------------------------------------------------------


def graph(*edges, size=4):
    """A table in which these states follow each other, whatever is done."""
    successor, probs = np.zeros((size, 1, size), int), np.zeros((size, 1, size), np.float32)
    for number, (one, other) in enumerate(edges):
        successor[one, 0, number], probs[one, 0, number] = other, 0.5
    table = sound().told
    return table.replace(
        successor=successor, successor_probs=probs, outcome_probs=np.ones((size, 2, 1))
    )


@pytest.mark.parametrize(
    ("edges", "length", "reached"),
    [
        ([], 1, [0]),
        ([(0, 1), (1, 3)], 3, [0, 1, 3]),
        ([(0, 1), (0, 2), (1, 2)], 3, [0, 1, 2]),
        ([(0, 1), (1, 0)], np.inf, [0, 1]),
        ([(0, 1), (1, 2), (2, 2)], np.inf, [0, 1, 2]),
        ([(3, 3), (0, 2)], 2, [0, 2]),
    ],
)
def test_the_longest_episode_is_the_longest_way_from_a_start(edges, length, reached):
    is_reached, found = longest_episode(graph(*edges), np.array([0]))
    assert found == length
    assert np.flatnonzero(is_reached).tolist() == reached


class MoreThanATableKnows(TableGame):
    """Rewards and successors that depend on what a table does not have."""

    kind = ""

    def resolve(self, key, state, action, outcome, params):
        done = super().resolve(key, state, action, outcome, params)
        noise = 2.0 * jax.random.bernoulli(jax.random.fold_in(key, 1), 0.5)
        if self.kind == "noise of mean 0":
            return dataclasses.replace(done, agent_reward=done.agent_reward + noise - 1)
        if self.kind == "rare events of mean 0":
            is_there = jax.random.bernoulli(jax.random.fold_in(key, 1), 0.01)
            more = jnp.where(is_there, 10.0, 0.0) - 0.1
            return dataclasses.replace(done, agent_reward=done.agent_reward + more)
        if self.kind == "noise of mean 0.2":
            return dataclasses.replace(done, agent_reward=done.agent_reward + noise - 0.8)
        if self.kind == "the principal's by action":
            more = done.principal_reward + 0.1 * action
            return dataclasses.replace(done, principal_reward=more)
        if self.kind == "the agent's by time":
            return dataclasses.replace(done, agent_reward=done.agent_reward + 0.1 * state.time)
        if self.kind == "the agent's by outcome":
            return dataclasses.replace(done, agent_reward=done.agent_reward + 0.1 * outcome)
        return dataclasses.replace(done, terminated=done.terminated | (action[0] > 0))

    def __eq__(self, other):
        return super().__eq__(other) and self.kind == getattr(other, "kind", "")

    def __hash__(self):
        return hash((super().__hash__(), self.kind))


@pytest.mark.parametrize(
    ("kind", "complaint"),
    [
        ("noise of mean 0", ""),
        ("rare events of mean 0", ""),
        ("noise of mean 0.2", "brings the agent|steps bring the agent"),
        ("the principal's by action", "brings the principal .* for action 1"),
        ("the agent's by time", r"brings the agent .* \(at time 1\)"),
        ("the agent's by outcome", "brings the agent"),
        ("an end by action", "the game ends, but its table goes on|steps after action 1"),
    ],
)
def test_what_a_table_cannot_know_is_compared_by_its_mean(kind, complaint):
    env = MoreThanATableKnows()
    env.kind = kind
    if not complaint:
        check_game(env, sound())
        return
    with pytest.raises(ValueError, match=complaint):
        check_game(env, sound())


class OtherRewards(CoinGame):
    """The rules pay ten times what the solutions know."""

    def resolve(self, key, state, action, outcome, params):
        done = super().resolve(key, state, action, outcome, params)
        return dataclasses.replace(done, agent_reward=10 * done.agent_reward)


def test_solutions_of_a_game_with_other_rewards_are_refused():
    settings = CoinSettings(grid_size=2, max_steps_in_episode=4)
    check_game(CoinGame(settings), CoinGame(settings).default_params)
    env = OtherRewards(settings)
    with pytest.raises(ValueError, match="by its play_values, a policy brings agent 0"):
        check_game(env, env.default_params)
