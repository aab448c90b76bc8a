"""What is made elsewhere, an optimiser, a network or a learner, is trained like our own."""

from __future__ import annotations

import dataclasses
import functools
import json

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from command_line import assert_same_results, compile_once, contents, fails, stop_after
from gymnax.environments import spaces
from small import (
    BOARD_CONFIG,
    BOARD_ENV,
    TREE_CONFIG,
    TREE_ENV,
    TREE_GAME,
    TREE_PARAMS,
)
from tabular_learner import TabularLearner

from jaxparl import Components, load_weights, run_job
from jaxparl.config import HyperParams
from jaxparl.envs.game_tree import GameTree
from jaxparl.experiment.disk import bytes_of_run
from jaxparl.experiment.options import Job, RunOptions
from jaxparl.experiment.stage import StoppedError
from jaxparl.learning.learner import make_learner
from jaxparl.learning.networks import make_network
from jaxparl.learning.problem import Problem
from jaxparl.training import grid
from jaxparl.training.plan import plan


class Narrow(nn.Module):
    """A network of one hidden layer, which sees everything at once."""

    space: spaces.Space
    num_outputs: int

    @nn.compact
    def __call__(self, observation, bits):
        x = observation
        if isinstance(self.space, spaces.Discrete):
            x = jax.nn.one_hot(observation, self.space.n)
        else:
            x = x.reshape(*bits.shape[:-1], -1)
        x = jnp.concatenate([x, bits], axis=-1)
        return nn.Dense(self.num_outputs)(nn.tanh(nn.Dense(24)(x)))


def narrow(space, hidden_sizes, num_outputs):
    return Narrow(space, num_outputs)


def chain(schedule):
    return optax.chain(
        optax.clip_by_global_norm(1.0),
        optax.scale_by_amsgrad(),
        optax.scale_by_learning_rate(schedule),
    )


GIVEN = {
    "adamw": Components(make_optimizer=functools.partial(optax.adamw, weight_decay=1e-3)),
    "rmsprop": Components(make_optimizer=optax.rmsprop),
    "chain": Components(make_optimizer=chain),
    "network": Components(make_network=narrow),
    "learner": Components(make_learner=TabularLearner),
}
# A table moves by a share of its error, and by half of it at most.
RATES = {"learner": 0.5, "rmsprop": 5e-3}
EVERYTHING = Components(
    make_learner=TabularLearner, make_network=narrow, make_optimizer=optax.adamw
)


def job(folder, name="learner", **options):
    """Two runs on the smallest tree."""
    hyper_params = HyperParams(nudge=0.01, learning_rate=RATES.get(name, 2e-2))
    config = dataclasses.replace(TREE_CONFIG, evaluation_interval=100, hyper_params=hyper_params)
    games = f"{TREE_GAME}:{TREE_GAME + 1}"
    asked = RunOptions(games=games, out=folder, checkpoint_seconds=0, **options)
    return Job("game_tree", "tree", TREE_ENV.settings, asked, config, components=GIVEN[name])


def board_job(folder, **options):
    """One run on the smallest Coin Game, and its validation: two evaluations of each."""
    asked = RunOptions(
        games="0:1", seeds="0:1", validate=True, out=folder, checkpoint_seconds=0, **options
    )
    config = dataclasses.replace(
        BOARD_CONFIG, iterations=50, evaluation_interval=25, replay_capacity=800
    )
    return Job("coin_game", "game", BOARD_ENV.settings, asked, config, components=EVERYTHING)


@pytest.fixture(autouse=True, scope="module")
def compiled_once():
    with pytest.MonkeyPatch.context() as patch:
        compile_once(patch)
        yield


@pytest.fixture(scope="module")
def trees(tmp_path_factory):
    """The folder of two finished runs of tables on the tree."""
    return run_job(job(tmp_path_factory.mktemp("trees") / "run"), TREE_ENV)


@pytest.fixture(scope="module")
def boards(tmp_path_factory):
    """The folder of a finished run on the board, which was validated."""
    return run_job(board_job(tmp_path_factory.mktemp("boards") / "run"), BOARD_ENV)


@pytest.mark.parametrize(
    "name",
    [
        # Other optimisers take the same way as the first.
        pytest.param(name, marks=pytest.mark.slow) if name in ("rmsprop", "chain") else name
        for name in GIVEN
    ],
)
def test_what_is_handed_in_learns_and_is_resumed_to_the_bit(name, tmp_path, monkeypatch):
    whole = run_job(job(tmp_path / "whole", name), TREE_ENV)
    with monkeypatch.context() as patch:
        stop_after(patch, 1)
        with pytest.raises(StoppedError):
            run_job(job(tmp_path / "stopped", name), TREE_ENV)
    resumed = run_job(job(tmp_path / "stopped", name, resume="auto"), TREE_ENV)
    assert resumed == tmp_path / "stopped"
    assert_same_results(whole, resumed)
    with np.load(whole / "metrics.npz") as arrays:
        assert arrays["recommendation_accuracy"][:, -1].min() >= 6 / 7


@pytest.mark.slow
def test_a_learner_of_another_kind_is_validated_and_resumed_to_the_bit(
    boards, tmp_path, monkeypatch
):
    with monkeypatch.context() as patch:
        stop_after(patch, 3)  # the first evaluation of validation
        with pytest.raises(StoppedError):
            run_job(board_job(tmp_path / "stopped"), BOARD_ENV)
    assert not (tmp_path / "stopped" / "validation.json").exists()
    resumed = run_job(board_job(tmp_path / "stopped", resume="auto"), BOARD_ENV)
    assert_same_results(boards, resumed)
    assert {"episode.gif", "validation.gif", "validation.json"} <= set(
        path.name for path in boards.iterdir()
    )
    # Its weights are tables, and are read back as such.
    weights = load_weights(boards / "checkpoints" / "final")
    assert weights.agent.shape == (1, BOARD_ENV.exact.num_states, 2, 4)


def test_a_run_goes_on_with_the_same_components_only(trees, capsys):
    recorded = json.loads((trees / "config.json").read_text())["components"]
    assert recorded == {"learner": "tabular_learner.TabularLearner"}
    before = contents(trees)
    asked = job(trees, resume="auto")
    for other in (Components(), GIVEN["network"]):
        with pytest.raises(ValueError, match="made with other settings: components") as refused:
            run_job(dataclasses.replace(asked, components=other), TREE_ENV)
        assert "tabular_learner.Tabular" in str(refused.value)
        assert "\n" not in str(refused.value)
    command = ("train", "game_tree", "--depth", "3", "--config", str(trees))
    message = "was run from Python with tabular_learner.TabularLearner"
    assert message in fails(capsys, *command)
    assert contents(trees) == before


@pytest.mark.slow
def test_principals_are_validated_with_the_same_components_only(boards, tmp_path, capsys):
    out = tmp_path / "again"
    size = ("--grid-size", "2", "--max-steps-in-episode", "8", "--view", "board")
    command = ("train", "coin_game", *size, "--principal", str(boards), "--out", str(out))
    assert f"the principals in {boards} had other components" in fails(capsys, *command)
    assert not out.exists()


def test_a_recorded_run_needs_components_with_names(tmp_path):
    nameless = Components(make_optimizer=lambda schedule: optax.sgd(schedule))
    asked = dataclasses.replace(job(tmp_path / "run"), components=nameless)
    with pytest.raises(ValueError, match="components with names; give make_optimizer a def"):
        run_job(asked, TREE_ENV)
    assert not (tmp_path / "run").exists()


def test_names_tell_apart_what_is_made_with_other_arguments():
    one, other = (functools.partial(optax.adamw, weight_decay=decay) for decay in (0.1, 0.2))
    names = [Components(make_optimizer=made).names() for made in (one, other, one)]
    assert names[0] == names[2] != names[1]
    assert names[0] == {"optimizer": "optax._src.alias.adamw(weight_decay=0.1)"}


@pytest.mark.parametrize("field", ["make_network", "make_optimizer", "make_learner"])
def test_what_makes_nothing_is_refused(field):
    with pytest.raises(TypeError, match=f"{field} must be a function, not a int"):
        Components(**{field: 3})


@pytest.mark.slow
def test_a_plan_knows_what_is_handed_in():
    config = board_job(None).config
    planned = plan(config, BOARD_ENV, grid([0], [0]), validate=True, components=EVERYTHING)
    # Tables of 128 states, and no replay.
    ours = bytes_of_run(config, BOARD_ENV)
    assert 0 < bytes_of_run(config, BOARD_ENV, EVERYTHING) < planned.training.bytes_per_run < ours
    assert planned.training.seconds > 0
    assert planned.validation.seconds > 0


class OwnNetwork(GameTree):
    """A tree that brings its own network."""

    def make_network(self, hidden_sizes, num_outputs):
        return Narrow(self.observation_space(), num_outputs)


def test_an_environment_brings_a_network_and_what_is_handed_in_comes_first():
    env = OwnNetwork(TREE_ENV.settings)

    def layers(components):
        problem = Problem(TREE_CONFIG, env, TREE_PARAMS, TREE_CONFIG.hyper_params, components)
        state = jax.eval_shape(make_learner(problem).init, jax.random.key(0))
        return {*state.agent.params["params"]}, {*state.principal.params["params"]}

    own, table = {"Dense_0", "Dense_1"}, {"Embed_0", "Dense_0"}
    assert layers(Components()) == (own, own)
    assert layers(Components(make_network=make_network)) == (table, table)
