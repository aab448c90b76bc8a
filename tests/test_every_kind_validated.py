"""Validation of every kind of game: with a table or without, one agent or many, hidden or not."""

from __future__ import annotations

import dataclasses
import functools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small import TREE_CONFIG, TREE_ENV, TREE_PARAMS
from stock_games import CONFIG, Settings, StockGame
from untrained import noise

from jaxparl.config import HyperParams
from jaxparl.evaluation import audit, oracle
from jaxparl.evaluation.checks.small_programs import quick_to_compile
from jaxparl.evaluation.offers import learned_offers, payments_for
from jaxparl.learning.learner import Learner, make_learner
from jaxparl.learning.problem import Problem
from jaxparl.learning.state import target_weights
from jaxparl.training import make_train, make_validate
from jaxparl.training.task import Task, validation_task
from jaxparl.validation import frozen, metrics
from jaxparl.validation import terms as facing
from jaxparl.validation.estimated import EstimatedMetrics
from jaxparl.validation.metrics import OneAgentMetrics, ValidationMetrics
from jaxparl.validation.schemes import Scheme, comparable_schemes, scheme_names
from jaxparl.validation.terms import make_terms

FOUR = ["principal", "constant", "cooperative", "selfish"]
SIX = ["principal", "principal + nudge", "constant", "constant + nudge", "cooperative", "selfish"]
KINDS = [
    (Settings(), SIX, ValidationMetrics),
    (Settings(is_observed=False, has_horizon=False), FOUR, ValidationMetrics),
    (Settings(num_agents=1, ends=True), ["principal", "selfish"], OneAgentMetrics),
    (Settings(is_listed=False, ends=True), [*SIX, "best response"], EstimatedMetrics),
    (
        Settings(num_agents=3, is_observed=False, is_listed=False, has_horizon=False),
        [*FOUR, "best response"],
        EstimatedMetrics,
    ),
    (Settings(num_agents=1, is_listed=False), ["principal", "selfish"], EstimatedMetrics),
]


#: For programs that run once, and briefly.
once = partial(jax.jit, compiler_options=quick_to_compile())


def learner_of(env, env_params=None, config=CONFIG) -> Learner:
    params = env.default_params if env_params is None else env_params
    return make_learner(Problem(config, env, params, config.hyper_params))


def weights_of(learner: Learner):
    """A principal of noise, whose contracts are worth as much as the rewards."""
    return target_weights(noise(learner, jax.random.key(0)))


@pytest.mark.parametrize(("settings", "names", "kind"), KINDS)
def test_every_kind_of_game_is_validated_under_the_schemes_that_it_has(settings, names, kind):
    env = StockGame(settings)
    assert list(scheme_names(env)) == names
    validate = make_validate(CONFIG, env, env.default_params)
    scheme = Scheme(others_follow=0.0 if "best response" in names else None)
    given = weights_of(learner_of(env)), CONFIG.hyper_params, jax.tree.map(jnp.float32, scheme)
    found = jax.eval_shape(validate, jax.random.key(0), *given).metrics
    assert isinstance(found, kind)
    assert {leaf.shape for leaf in jax.tree.leaves(found)} == {(CONFIG.num_evaluations,)}


def follow(learner: Learner) -> frozen.Followed:
    return frozen.followed_play(learner, frozen.freeze(learner, weights_of(learner)))


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param(Settings(ends=True), marks=pytest.mark.slow),
        Settings(has_horizon=False, ends=True),
    ],
)
def test_recommendations_are_counted_in_episodes_of_any_length(settings):
    """A game that may end by itself: exactly and by episodes, discounted without a horizon."""
    exact = once(partial(follow, learner_of(StockGame(settings))))()
    unlisted = dataclasses.replace(settings, is_listed=False)
    played = once(partial(follow, learner_of(StockGame(unlisted))))()
    # Each step is the last one with probability 0.3.
    goes_on = 0.7 if settings.has_horizon else 0.7 * 0.9
    steps = 12 if settings.has_horizon else 1000
    expected = 2 * (1 - goes_on**steps) / (1 - goes_on)
    np.testing.assert_allclose(exact.recommendations, expected, rtol=1e-4)
    for found, wanted in zip(*map(jax.tree.leaves, (played, exact)), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=0.2)


def test_a_nudge_is_worth_its_share_where_episodes_end_by_themselves():
    env = StockGame(Settings(ends=True))
    learner = learner_of(env)

    @once
    def nudged():
        principal = frozen.freeze(learner, weights_of(learner))
        followed = frozen.followed_play(learner, principal)
        scheme = comparable_schemes(env, followed, 0.1)["principal"]
        terms = make_terms(learner, principal, scheme)
        return followed.value, metrics.play_out(learner, terms, lambda _, asked: asked)

    followed, obeyed = nudged()
    extra = obeyed.values.payment[0] - followed.payment
    np.testing.assert_allclose(extra, 0.1 * followed.welfare, rtol=1e-3)
    np.testing.assert_allclose(obeyed.followed_share, 1, rtol=1e-5)


# --- One agent --------------------------------------------------------------------------------


def test_one_agent_is_compared_with_the_oracle():
    learner = learner_of(TREE_ENV, TREE_PARAMS, TREE_CONFIG)
    weights = weights_of(learner)

    @once
    def compared():
        terms = make_terms(learner, frozen.freeze(learner, weights), Scheme(contract_weight=1.0))
        obeyed = metrics.evaluate(learner, terms, lambda _, asked: asked, jnp.float32(0))
        response = oracle.respond(learner.problem, learned_offers(learner, weights))
        best = oracle.at_start(learner.problem, response.agent_value)
        return obeyed, best, oracle.solve(learner.problem)

    found, best, solved = compared()
    wanted = (solved.principal_utility, solved.agent_utility)
    exact = (found.equilibrium_principal_utility, found.equilibrium_agent_utility)
    np.testing.assert_allclose(exact, wanted, rtol=1e-4)
    np.testing.assert_allclose(found.agent_utility + found.deviation_gain, best, rtol=1e-4)
    assert found.deviation_gain > 0
    np.testing.assert_allclose(found.own_over_recommended_following, 1, rtol=1e-5)
    assert found.followed_share == 1


# --- Hidden actions ---------------------------------------------------------------------------


@functools.cache
def task_of(env) -> Task:
    """The parts of a run of validation, compiled; each takes its terms as a first argument."""

    def part(name: str):
        return once(lambda terms, *args: getattr(validation_task(CONFIG, env, terms), name)(*args))

    return Task(*map(part, Task._fields))


def faced(env, scheme: Scheme):
    """What black boxes face under a scheme."""
    learner = learner_of(env)
    principal = frozen.freeze(learner, weights_of(learner))
    return learner, make_terms(learner, principal, jax.tree.map(jnp.float32, scheme))


@pytest.mark.parametrize("is_listed", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_where_actions_are_hidden_black_boxes_are_paid_for_drawn_outcomes(is_listed):
    env = StockGame(Settings(is_observed=False, is_listed=is_listed))
    learner, terms = faced(env, Scheme(contract_weight=1.0))
    task = task_of(env)
    state, _ = task.learn(terms, task.init(terms, jax.random.key(3)), 0)
    stored = jax.tree.map(lambda leaf: leaf[: 40 * CONFIG.num_envs], state.replay.ring)
    offered = once(jax.vmap(partial(facing.offered, learner, terms)))
    recommendation, payments, _ = offered(stored.env_state)
    paid = payments_for(payments, stored.outcome.astype(int))
    reward = stored.env_state.level[:, None] / 5 * stored.action + 0.1
    np.testing.assert_allclose(stored.agent_reward, reward + paid, rtol=1e-4, atol=1e-5)
    assert (np.asarray(stored.outcome) != stored.action).any()
    np.testing.assert_array_equal(stored.follows, stored.action == recommendation)
    assert np.ptp(paid) > 0.1


# --- A learned best response ------------------------------------------------------------------

ALONE = Scheme(contract_weight=1.0, others_follow=1.0)


def test_one_agent_at_a_time_learns_a_best_response_and_the_others_follow():
    env = StockGame(Settings(num_agents=3, is_listed=False))
    _, terms = faced(env, ALONE)
    task = task_of(env)
    state, _ = task.learn(terms, task.init(terms, jax.random.key(3)), 0)
    follows = np.asarray(state.replay.ring.follows)[: 40 * CONFIG.num_envs]
    assert ((~follows).sum(axis=1) <= 1).all()
    # Every agent has its turn, and keeps it until the episode is over.
    assert (~follows).any(axis=0).all()
    who = np.where(~follows, np.arange(3), -1).max(axis=1).reshape(40, -1)
    for episode in (who[:12], who[12:24]):
        assert all(len({*column} - {-1}) <= 1 for column in episode.T)


@pytest.mark.parametrize("is_observed", [pytest.param(True, marks=pytest.mark.slow), False])
def test_a_learned_best_response_gains_less_than_the_exact_one_and_not_much_less(is_observed):
    solved = StockGame(Settings(is_observed=is_observed))
    env = StockGame(Settings(is_observed=is_observed, is_listed=False))
    learner = learner_of(solved)
    weights = weights_of(learner)
    found = once(lambda: audit.audit(learner.problem, learned_offers(learner, weights)))()
    config = dataclasses.replace(CONFIG, iterations=800, evaluation_interval=800)
    validate = once(make_validate(config, env, env.default_params))
    scheme = jax.tree.map(jnp.float32, ALONE)
    learned = validate(jax.random.key(0), weights, config.hyper_params, scheme).metrics
    gain, error = (float(leaf[-1]) for leaf in (learned.deviation_gain, learned.deviation_gain_se))
    exact = float(found.deviation_gain)
    assert 0.5 * exact < gain < exact + 2 * error
    assert exact > 1
    # What is of all agents' own policies is not known here.
    for name in ("welfare", "payment", "followed_share", "own_over_recommended_own"):
        assert np.isnan(getattr(learned, name)).all(), name
    assert learned.own_over_recommended_following[-1] > 1


# --- Twenty agents ----------------------------------------------------------------------------

MEGABYTES = 2**20


@pytest.mark.slow
def test_twenty_agents_are_trained_and_evaluated_in_little_memory():
    """All 2^19 follow sets of a state would take gigabytes."""
    env = StockGame(Settings(num_agents=20, is_listed=False))
    config = dataclasses.replace(
        CONFIG, iterations=4, evaluation_interval=4, target_interval=2, num_envs=2
    )
    train = once(make_train(config, env, env.default_params))
    program = train.lower(jax.random.key(0)).compile()
    memory = program.memory_analysis()
    assert memory.temp_size_in_bytes + memory.output_size_in_bytes < 100 * MEGABYTES
    result = program(jax.random.key(0))
    assert np.isfinite(result.metrics.welfare).all() and np.isfinite(result.metrics.payment).all()
    validate = once(make_validate(config, env, env.default_params))
    given = target_weights(result.state), HyperParams(), jax.tree.map(jnp.float32, ALONE)
    memory = validate.lower(jax.random.key(0), *given).compile().memory_analysis()
    assert memory.temp_size_in_bytes < 100 * MEGABYTES
