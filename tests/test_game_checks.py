"""Games whose exact side is of another game are refused before anything is traced."""

from __future__ import annotations

import pytest
from table_games import CONFIG, FAULTS, TableGame, sound

from jaxparl.envs import REGISTRY, make
from jaxparl.evaluation.checks import check_game
from jaxparl.training import make_train

GAME = TableGame()


@pytest.mark.parametrize("name", list(REGISTRY))
def test_the_games_that_come_with_jaxparl_are_sound(name):
    check_game(*make(name))


@pytest.mark.parametrize("seed", range(5))
def test_a_sound_game_passes(seed):
    check_game(GAME, sound(seed, start=seed))


@pytest.mark.parametrize("fault", list(FAULTS))
def test_a_table_of_another_game_is_refused_before_anything_is_traced(fault):
    change, complaint = FAULTS[fault]
    with pytest.raises(ValueError, match=f"^TableGame: {complaint}"):
        make_train(CONFIG, GAME, change(sound()))
