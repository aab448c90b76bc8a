"""Estimates by episodes: their errors are as large as they say, and cover the exact values."""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import untrained
from conftest import told
from small import COIN_ENV
from stock_games import CONFIG, Settings, StockGame
from untrained import noise

from jaxparl.config import Config
from jaxparl.environment import Environment
from jaxparl.envs.coin_game import CoinGame
from jaxparl.envs.commons import Commons
from jaxparl.evaluation import audit, episodes, estimates
from jaxparl.evaluation.offers import learned_offers
from jaxparl.learning.learner import Learner, make_learner
from jaxparl.learning.problem import Problem
from jaxparl.learning.state import Losses, target_weights
from jaxparl.validation import dqn, estimated, metrics
from jaxparl.validation.frozen import freeze
from jaxparl.validation.mixes import mixes
from jaxparl.validation.schemes import Scheme
from jaxparl.validation.terms import make_terms

# Exact values are rounded, too.
ROUNDING = 1e-5


def test_errors_of_means_and_ratios_are_those_of_many_repetitions():
    rng = np.random.default_rng(0)
    whole = rng.gamma(4.0, size=(4_000, 80, 2)).astype(np.float32)
    part = (0.5 * whole + rng.normal(size=whole.shape)).astype(np.float32)
    over = jax.jit(jax.vmap(estimates.estimate_mean_ratio))(part, whole)
    mean = jax.jit(jax.vmap(estimates.estimate_mean))(whole[..., 0])
    for found, true in ((over, 0.5), (mean, 4.0)):
        value, error = map(np.asarray, found)
        assert abs(value.mean() - true) < 0.01
        assert error.mean() == pytest.approx(value.std(), rel=0.05)
        assert 0.93 < np.mean(np.abs(value - true) < 1.96 * error) < 0.96


def test_a_ratio_of_what_is_not_positive_is_undefined():
    parts, wholes = jnp.array([1.0, 2.0]), jnp.array([-1.0, 0.5])
    assert all(np.isnan(leaf) for leaf in estimates.estimate_ratio(parts, wholes))


def test_the_largest_of_equal_means_is_not_thought_to_be_larger():
    """Of ten estimates of 0 the largest is 0.17 on average."""
    draws = np.random.default_rng(0).normal(size=(4_000, 80, 10)).astype(np.float32)
    value, error = map(np.asarray, jax.jit(jax.vmap(estimates.estimate_largest))(draws))
    assert draws.mean(axis=1).max(axis=1).mean() > 0.15
    assert abs(value.mean()) < 3 * value.std() / np.sqrt(len(value))
    assert error.mean() == pytest.approx(value.std(), rel=0.05)
    assert 0.93 < np.mean(np.abs(value) < 1.96 * error) < 0.96
    # Where one stands out, it is found.
    clear = draws + np.eye(10, dtype=np.float32)[3]
    assert jax.vmap(estimates.estimate_largest)(clear).value.mean() == pytest.approx(1, abs=0.01)


# --- By episodes against exact ----------------------------------------------------------------


class UnsolvedCoinGame(CoinGame):
    exact = None


class UnsolvedCommons(Commons):
    exact = None


class Pair(NamedTuple):
    """The same game twice: with exact solutions, and without."""

    exact: Environment
    unsolved: Environment
    config: Config


def stock(**settings) -> Pair:
    solved = Settings(**settings)
    unsolved = dataclasses.replace(solved, is_listed=False)
    return Pair(StockGame(solved), StockGame(unsolved), CONFIG)


COIN = Pair(COIN_ENV, UnsolvedCoinGame(COIN_ENV.settings), untrained.CONFIG)
COMMONS = Pair(Commons(), UnsolvedCommons(), untrained.CONFIG)
HIDDEN, ENDLESS = stock(num_agents=3, is_observed=False, ends=True), stock(has_horizon=False)


def learner_of(env: Environment, config: Config) -> Learner:
    return make_learner(Problem(config, env, env.default_params, config.hyper_params))


def random_policy(pair: Pair, learner: Learner, terms, follow: float) -> metrics.Policy:
    """Black boxes whose networks are noise, and that follow in such a share of the states."""
    config, env = learner.problem.config, learner.problem.env
    agents = dqn.make_black_boxes(config, env, terms)
    fresh = jax.eval_shape(partial(dqn.init, agents), jax.random.key(0)).agent.params
    rng = np.random.default_rng(5)
    params = jax.tree.map(lambda leaf: np.float32(rng.normal(size=leaf.shape)), fresh)
    own = dqn.policy(agents, params)

    def policy(env_state, recommendation):
        key = jax.random.fold_in(jax.random.key(5), pair.exact.state_index(env_state))
        follows = jax.random.bernoulli(key, follow, recommendation.shape)
        return jnp.where(follows, recommendation, own(env_state, recommendation))

    return policy


def of_followers(pair: Pair, keys) -> tuple[dict[str, jax.Array], episodes.EpisodeMetrics]:
    """What an episode brings in which all follow: exactly, and by episodes, once for each key."""
    solved, unsolved = (learner_of(env, pair.config) for env in (pair.exact, pair.unsolved))
    state = noise(solved, keys[0])

    def evaluate(key):
        own = dataclasses.replace(state, key=key)
        return episodes.evaluate(unsolved, own, Losses(*jnp.zeros(3)))

    @jax.jit
    def exact():
        offers = learned_offers(solved, target_weights(state))
        return audit.audit(solved.problem, offers).values

    value = exact()
    # Of the Coin Game the principal's reward is the welfare.
    reward = value.welfare if value.principal_reward is None else value.principal_reward
    wanted = {
        "welfare": value.welfare,
        "payment": value.payment,
        "payment_share": value.payment_share,
        "principal_utility": reward - pair.config.hyper_params.alpha * value.payment,
    }
    return wanted, jax.jit(lambda keys: jax.lax.map(evaluate, keys))(keys)


def of_black_boxes(
    pair: Pair, keys, follow: float = 0.0
) -> tuple[dict[str, jax.Array], estimated.EstimatedMetrics]:
    """The metrics of validation: exactly, and by episodes, once for each key."""
    scheme = Scheme(contract_weight=1.0, nudge=0.03 if pair.exact.observed_actions else 0.0)
    solved, unsolved = (learner_of(env, pair.config) for env in (pair.exact, pair.unsolved))
    weights = target_weights(noise(solved, keys[0]))

    @jax.jit
    def exact():
        terms = make_terms(solved, freeze(solved, weights), scheme)
        policy = random_policy(pair, solved, terms, follow)
        found = metrics.evaluate(solved, terms, policy, jnp.float32(0))
        utility = metrics.play_out(solved, terms, policy).values.utilities
        mixed, agents = mixes(pair.exact.num_agents), np.arange(pair.exact.num_agents)
        gains = utility[mixed.all_but, agents] - utility[mixed.everyone, agents]
        return found, jnp.max(gains)

    @jax.jit
    def evaluate(keys):
        terms = make_terms(unsolved, freeze(unsolved, weights), scheme)
        policy = random_policy(pair, unsolved, terms, follow)
        loss = jnp.float32(0)
        return jax.lax.map(
            lambda key: estimated.evaluate(unsolved, terms, policy, key=key, agent_loss=loss), keys
        )

    found, gain = exact()
    names = ("welfare", "payment", "payment_share", "followed_share")
    names += ("own_over_recommended_following", "own_over_recommended_own")
    return {name: getattr(found, name) for name in names} | {"deviation_gain": gain}, evaluate(keys)


def of_mostly_following(pair: Pair, keys):
    """What is paid to agents that hardly ever follow is the mean of rare events.

    Its estimates have the right errors, but of so skewed a distribution intervals cover less, 89%.
    """
    wanted, found = of_black_boxes(pair, keys, follow=0.75)
    # Where agents gain about equally, that of one of them is estimated: a lower bound.
    del wanted["deviation_gain"]
    return wanted, found


def of_deviating(pair: Pair, keys):
    """The gain of agents that do what they like, and so gain or lose much."""
    wanted, found = of_black_boxes(pair, keys)
    return {"deviation_gain": wanted["deviation_gain"]}, found


def covered(wanted, found) -> dict[str, float]:
    """How often the 95% interval of each metric covers its exact value."""
    shares = {}
    for name, exact in wanted.items():
        values, errors = (np.asarray(getattr(found, name + end)) for end in ("", "_se"))
        rounding = ROUNDING * max(1.0, abs(float(exact)))
        shares[name] = float(np.mean(np.abs(values - exact) <= 1.96 * errors + rounding))
    return shares


@pytest.mark.parametrize(
    ("pair", "of"), [(HIDDEN, of_black_boxes), (ENDLESS, of_followers)], ids=["hidden", "endless"]
)
def test_intervals_cover_the_exact_values(pair, of):
    wanted, found = of(pair, jax.random.split(jax.random.key(1), 100))
    assert min(covered(wanted, found).values()) >= 0.9
    assert (np.asarray(found.episodes) == episodes.NUM_EPISODES).all()
    # They are no wider than they have to be.
    for name in ("welfare", "payment"):
        values, errors = (np.asarray(getattr(found, name + end)) for end in ("", "_se"))
        assert errors.mean() == pytest.approx(values.std(), rel=0.2)
        assert errors.mean() > 0


@pytest.mark.slow
@pytest.mark.parametrize(
    "of", [of_followers, of_mostly_following, of_deviating], ids=["training", "validation", "gain"]
)
@pytest.mark.parametrize(
    "pair",
    [COIN, COMMONS, stock(), HIDDEN, ENDLESS],
    ids=["coin_game", "commons", "stock", "hidden", "endless"],
)
def test_at_least_nine_in_ten_of_fifty_intervals_cover_the_exact_values(pair, of, pytestconfig):
    """Of 50 evaluations, all metrics together; of 500, each metric: of 50 that would be luck."""
    wanted, found = of(pair, jax.random.split(jax.random.key(0), 500))
    first = covered(wanted, jax.tree.map(lambda leaf: leaf[:50], found))
    shares = covered(wanted, found)
    lines = ", ".join(f"{name} {share:.1%}" for name, share in shares.items())
    of_fifty = np.mean(list(first.values()))
    told(pytestconfig).append(
        f"{pair.exact.name} {pair.exact.settings}: {of_fifty:.1%} of 50; of 500: {lines}"
    )
    assert of_fifty >= 0.9
    assert min(shares.values()) >= 0.9
