"""Games of gymnax and JaxMARL at their own sizes: the same games, and each is trained by one call.

JaxMARL is an extra; its games are left out where it is not installed.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from foreign_games import Unequal
from gymnax.environments.bsuite.catch import Catch

import jaxparl
from jaxparl import cli
from jaxparl.envs.registry.presets import quick_preset
from jaxparl.evaluation.rollouts import all_follow, play_back
from jaxparl.learning.learner import make_learner
from jaxparl.learning.problem import Problem
from jaxparl.learning.state import target_weights
from jaxparl.testing.case import Case
from jaxparl.testing.promises import PROMISES
from jaxparl.wrappers import from_gymnax, from_jaxmarl

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

GYMNAX = {
    "Catch-bsuite": {"idle": 1},
    "CartPole-v1": {"slip": 0.1},
    "Breakout-MinAtar": {"slip": 0.1},
}
#: By how many steps games are compared: those that they take to their own time limit, or fewer.
JAXMARL = {
    "overcooked": 60,
    "MPE_simple_spread_v3": 25,
    "MPE_simple_tag_v3": 25,
    "MPE_simple_speaker_listener_v4": 25,
    "coin_game": 110,
}
CASES = {
    "gymnax": Case(from_gymnax(Catch(rows=5), slip=0.2)),
    "JaxMARL": Case(from_jaxmarl(Unequal())),
}


def environment(name):
    if name in GYMNAX:
        return from_gymnax(name, **GYMNAX[name])
    pytest.importorskip("jaxmarl", reason="JaxMARL is not installed: pip install jaxparl[jaxmarl]")
    return from_jaxmarl(name)


@pytest.mark.parametrize("name", JAXMARL)
def test_states_rewards_and_observations_are_those_of_the_game(name):
    env = environment(name)
    game, params = env.game, env.default_params
    key_reset, key_actions, key_steps = jax.random.split(jax.random.key(1), 3)
    counts = jnp.array([game.action_space(agent).n for agent in game.agents])
    drawn = jax.random.uniform(key_actions, (JAXMARL[name], env.num_agents))
    actions = jnp.floor(drawn * counts).astype(jnp.int32)

    def theirs(state, now):
        by_agent = {agent: now[0][number] for number, agent in enumerate(game.agents)}
        seen, after, reward, done, _ = game.step(now[1], state, by_agent)
        pads = [seen[agent].ravel().astype(float) for agent in game.agents]
        longest = max(len(row) for row in pads)
        pads = [jnp.pad(row, (0, longest - len(row))) for row in pads]
        rewards = [jnp.asarray(reward[agent], float) for agent in game.agents]
        return after, (after, jnp.stack(rewards), jnp.stack(pads), done["__all__"])

    def ours(state, now):
        seen, after, reward, terminated, truncated, _ = env.step(now[1], state, now[0], params)
        flat = seen.reshape(env.num_agents, -1)
        return after, (after.game, reward, flat, terminated | truncated)

    given = actions, jax.random.split(key_steps, len(actions))
    own = jax.lax.scan(ours, env.reset(key_reset, params)[1], given)[1]
    form = jax.tree.map(lambda leaf: leaf[0], own[0])
    first = jax.tree.map(
        lambda leaf, like: jnp.asarray(leaf, like.dtype), game.reset(key_reset)[1], form
    )
    found = jax.lax.scan(theirs, first, given)[1]
    # What comes after the time limit is another episode, which JaxMARL begins a step later.
    until = slice(0, len(actions) - (params.max_steps_in_episode == len(actions)))
    for one, other in zip(jax.tree.leaves(own), jax.tree.leaves(found), strict=True):
        # Two programs may round differently; whole numbers are the same.
        slack = 1e-5 * jnp.issubdtype(one.dtype, jnp.floating)
        np.testing.assert_allclose(one[until], other[until], rtol=slack, atol=slack)
    np.testing.assert_allclose(own[1], found[1], rtol=1e-5)


@pytest.mark.parametrize("name", [*GYMNAX, *JAXMARL])
def test_it_is_trained_by_one_call_and_played_by_offers(name):
    env = environment(name)
    config = dataclasses.replace(
        quick_preset(env, None).config,
        iterations=400,
        evaluation_interval=200,
        target_interval=50,
        replay_capacity=3_200,
        hidden_sizes=(32,),
    )
    trained = jax.jit(jaxparl.make_train(config, env, env.default_params))(jax.random.key(0))
    metrics = jax.device_get(trained.metrics)
    assert np.all(metrics.episodes == 80)
    for field in ("principal_utility", "welfare", "payment", "agent_loss", "principal_loss"):
        assert np.isfinite(getattr(metrics, field)).all(), field
    assert (metrics.payment >= 0).all()
    weights = target_weights(trained.state)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(weights))
    problem = Problem(config, env, env.default_params, config.hyper_params)
    played = play_back(problem, all_follow(make_learner(problem), weights), jax.random.key(2), 20)
    assert len(played.action) > 1
    np.testing.assert_array_equal(played.action, played.recommendation)
    assert (played.payment >= 0).all()
    states = jax.tree.map(jnp.asarray, played.env_state)
    there = jax.vmap(lambda state: env.available_actions(state, env.default_params))(states)
    if there is not None:
        assert np.take_along_axis(there, played.action[..., None], axis=-1).all()


@pytest.mark.parametrize(
    "made",
    [
        "from foreign_games import Unequal\n"
        "from jaxparl.wrappers import from_jaxmarl\n"
        "game = from_jaxmarl(Unequal(), discount=0.9)\n",
        "from gymnax.environments.bsuite.catch import Catch\n"
        "from jaxparl.wrappers import from_gymnax\n"
        "game = from_gymnax(Catch(rows=4), idle=1, slip=0.1)\n",
    ],
    ids=["JaxMARL", "gymnax"],
)
def test_what_a_file_makes_is_trained_and_validated_by_one_command(made, tmp_path, monkeypatch):
    (tmp_path / "own.py").write_text(made)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    sizes = "--iterations 200 --evaluation-interval 100 --target-interval 50 --hidden-sizes 16"
    options = f"{sizes} --replay-capacity 3200 --batch-size 32 --seeds 0:1 --validate --out run"
    cli.main(["train", "./own.py:game", *options.split()])
    validation = json.loads((tmp_path / "run" / "validation.json").read_text())
    for group in validation["groups"]:
        if group["labels"]["scheme"] != "best response":  # that of one agent at a time
            assert np.isfinite(group["metrics"]["welfare"]["mean"])


def test_a_cost_can_be_swept(tmp_path, monkeypatch):
    env = from_gymnax(Catch(rows=3, columns=3), idle=1)
    assert env.default_params.cost == 0.1
    (tmp_path / "swept.py").write_text(
        "from gymnax.environments.bsuite.catch import Catch\n"
        "from jaxparl.wrappers import from_gymnax\n"
        "game = from_gymnax(Catch(rows=3, columns=3), idle=1)\n"
    )
    monkeypatch.chdir(tmp_path)
    options = "--iterations 800 --evaluation-interval 800 --replay-capacity 6400 --seeds 0:1"
    cli.main(
        ["train", "./swept.py:game", *options.split(), "--sweep", "cost=0.1,0.4", "--out", "run"]
    )
    groups = json.loads((tmp_path / "run" / "summary.json").read_text())["groups"]
    cheap, dear = (group["metrics"]["principal_utility"]["mean"] for group in groups)
    assert cheap > dear


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.__name__)
@pytest.mark.parametrize("kind", ["gymnax", "JaxMARL"])
def test_they_keep_the_promises_of_every_game(kind, promise):
    promise(CASES[kind])
