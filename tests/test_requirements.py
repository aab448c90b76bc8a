"""Games that cannot be solved, validated or played to an end are refused before training."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from command_line import fails
from untrained import CONFIG

from jaxparl.environment import NO_TIME_LIMIT, ExactSolutions
from jaxparl.envs import REGISTRY, coin_game
from jaxparl.envs.coin_game import CoinGame, Settings
from jaxparl.envs.coin_game.exact import CoinSolutions
from jaxparl.envs.game_tree import GameTree, TreeTable
from jaxparl.envs.game_tree import Settings as TreeSettings
from jaxparl.evaluation.checks import check_game
from jaxparl.training import make_train, make_validate
from jaxparl.validation.requirements import check_can_validate

SMALL = Settings(grid_size=2, max_steps_in_episode=4)


def game_of(solutions=CoinSolutions, **attributes):
    """A kind of Coin Game with other solutions, and with other attributes."""
    exact = property(lambda self: solutions(self.settings))
    own = {"exact": exact, "__hash__": object.__hash__, "__eq__": object.__eq__, **attributes}
    return type("OtherGame", (CoinGame,), own)


def solutions(**methods):
    """A kind of solutions of the Coin Game with other methods."""
    return type("OtherSolutions", (CoinSolutions,), methods)


def missing(self, *arguments):
    raise NotImplementedError("not written yet")


def shifted(self, env_state):
    return (CoinSolutions.state_index(self, env_state) + 1) % self.num_states


def all_but_one(self):
    return jax.tree.map(lambda leaf: leaf[1:], CoinSolutions.states(self))


def one_state(self, env_state):
    return 0 * CoinSolutions.state_index(self, env_state)


def noisy(self, state, params):
    return jnp.full((2, 4, 4), 0.1) + 0.6 * jnp.eye(4)


# --- Solutions of several agents --------------------------------------------------------------


@pytest.mark.parametrize(
    ("game", "complaint"),
    [
        (
            game_of(solutions(state_index=shifted)),
            "OtherGame: the state_index of state 0 is 1",
        ),
        (
            game_of(solutions(state_index=one_state)),
            "OtherGame: the state_index of state 1 is 0",
        ),
        (
            game_of(solutions(states=all_but_one)),
            r"OtherGame: the states of its solutions have the shape \(127, 2\), not \(128, 2\)",
        ),
        (
            game_of(observed_actions=False, num_outcomes=4, outcome_probs=noisy),
            "OtherGame: it has several agents and hides their actions, .* must be None",
        ),
        (
            game_of(outcome_probs=noisy),
            "OtherGame: its actions are observed, but its outcome_probs are not the identity",
        ),
        (
            game_of(lambda settings: TreeTable(GameTree(TreeSettings(depth=2)))),
            "OtherGame: it has 2 agents: its exact side must be ExactSolutions, not TreeTable",
        ),
    ],
)
def test_solutions_that_are_not_of_the_game_are_refused(game, complaint):
    env = game(SMALL)
    with pytest.raises(ValueError, match=complaint):
        make_train(CONFIG, env, env.default_params)


class Unfinished(ExactSolutions):
    num_states = 1


@pytest.mark.parametrize(
    "check", [check_can_validate, lambda env: check_game(env, env.default_params)]
)
def test_solutions_that_lack_a_method_are_refused(check):
    env = game_of(lambda settings: Unfinished())(SMALL)  # type: ignore[abstract]
    with pytest.raises(ValueError, match=r"OtherGame: its exact side is incomplete: .*state_index"):
        check(env)


class SolvedTree(GameTree):
    exact = CoinSolutions(SMALL)


def test_one_agent_needs_a_table():
    env = SolvedTree(TreeSettings(depth=2))
    with pytest.raises(ValueError, match="SolvedTree: it has one agent: its exact side must be an"):
        make_train(CONFIG, env, env.default_params)


# --- Validation -------------------------------------------------------------------------------


def forever(self):
    return CoinGame.default_params.fget(self).replace(  # type: ignore[attr-defined]
        max_steps_in_episode=NO_TIME_LIMIT
    )


def undiscounted(self):
    return CoinGame.default_params.fget(self).replace(discount=1.0)  # type: ignore[attr-defined]


def ends_by_itself(self, *arguments):
    done = CoinGame.resolve(self, *arguments)
    return dataclasses.replace(done, terminated=done.state.time >= 2)


UNFIT = {
    "state_index": (
        game_of(solutions(state_index=missing)),
        "the state_index of its solutions fails: NotImplementedError: not written yet",
    ),
    "best_responses": (
        game_of(solutions(best_responses=lambda self, params, actions, paid: jnp.zeros(3))),
        r"the best_responses of its solutions returns the shapes \[\(3,\)\], not \[\(2,\)\]",
    ),
    "equilibrium": (
        game_of(solutions(equilibrium=missing)),
        "the equilibrium of its solutions fails: NotImplementedError: not written yet",
    ),
    "discount": (
        game_of(has_horizon=False, default_params=property(undiscounted)),
        "it has no horizon, so its discount must be below 1, not 1",
    ),
    "forever": (
        game_of(default_params=property(forever)),
        "its episodes need a time limit, but max_steps_in_episode is 2147483647",
    ),
}


@pytest.mark.parametrize("what", list(UNFIT))
def test_what_validation_needs_is_tried_before_it_is_needed(what):
    game, complaint = UNFIT[what]
    env = game(SMALL)
    for validate in (
        check_can_validate,
        lambda env: make_validate(CONFIG, env, env.default_params),
    ):
        with pytest.raises(ValueError, match=f"^validation of OtherGame: {complaint}"):
            validate(env)


def test_a_game_that_is_not_validated_needs_no_state_index():
    env = UNFIT["state_index"][0](SMALL)
    make_train(CONFIG, env, env.default_params)


def test_the_command_line_tries_it_before_it_trains(capsys, tmp_path, monkeypatch):
    entry = dataclasses.replace(REGISTRY["coin_game"], environment=UNFIT["state_index"][0])
    monkeypatch.setitem(REGISTRY, "unfit", entry)
    small = ("--grid-size", "2", "--max-steps-in-episode", "4", "--validate")
    for arguments in (("train", "unfit", "--out", str(tmp_path / "run")), ("plan", "unfit")):
        shown = fails(capsys, *arguments, *small)
        assert "validation of OtherGame: the state_index of its solutions fails" in shown
    assert not (tmp_path / "run").exists()


# --- Episodes that do not end -----------------------------------------------------------------


@pytest.mark.parametrize("exact", [None, property(lambda self: CoinSolutions(self.settings))])
def test_a_game_that_does_not_end_and_has_no_limit_is_refused(exact):
    env = game_of(exact=exact)(SMALL)
    endless = env.default_params.replace(max_steps_in_episode=NO_TIME_LIMIT)
    with pytest.raises(ValueError, match="OtherGame: it has no time limit, and nothing ended in"):
        make_train(CONFIG, env, endless)
    check_game(env, env.default_params)


def test_a_game_that_ends_by_its_rules_needs_no_limit():
    env = game_of(exact=None, resolve=ends_by_itself)(SMALL)
    check_game(env, env.default_params.replace(max_steps_in_episode=NO_TIME_LIMIT))


@pytest.mark.parametrize("name", list(REGISTRY))
def test_a_time_limit_is_at_least_one_step(name):
    env = {"coin_game": coin_game.CoinGame(SMALL)}.get(name, GameTree(TreeSettings(depth=2)))
    with pytest.raises(ValueError, match="max_steps_in_episode"):
        check_game(env, env.default_params.replace(max_steps_in_episode=np.int32(0)))
