"""Black-box agents and the schemes that reward them: hand-made numbers, independence, learning."""

from __future__ import annotations

import dataclasses
import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxparl import lockstep, panels, play, run_state, schemes, validation
from jaxparl.audit import audit
from jaxparl.config import Config, Rates
from jaxparl.envs import make
from jaxparl.schemes import Scheme, Terms

RATES = Rates(
    learning_rate=2e-3,
    learning_rate_final=5e-4,
    epsilon=0.4,
    epsilon_final=0.1,
    nudge=0.01,
    alpha=0.1,
)
CONFIG = Config(
    iterations=40,
    evaluation_interval=20,
    target_interval=10,
    batch_size=16,
    replay="prioritised",
    replay_capacity=800,
    hidden_sizes=(16, 16),
    critic="per_action",
    exploration="per_step",
    rates=RATES,
)
PRINCIPAL = Scheme(contract_weight=1.0, nudge=0.03)
SELFISH, COOPERATIVE, CONSTANT = Scheme(), Scheme(proportion=1.0), Scheme(proportion=0.3)
FOLLOW_SETS = list(itertools.product((False, True), repeat=2))

ENV, PARAMS = make("coin_game", grid_size=2, max_steps_in_episode=8)
VALIDATOR = validation.make_validator(CONFIG, ENV)
LEARNER = VALIDATOR.learner

# Over S, or over what a ring holds.
recommended = jax.jit(jax.vmap(schemes.recommended, (None, None, 0)), static_argnums=0)
paid = jax.jit(jax.vmap(schemes.paid, (None, None, 0, 0, 0)), static_argnums=0)
freeze = jax.jit(schemes.freeze, static_argnums=0)


def weights_of(seed: int) -> run_state.Weights:
    """A random principal, scaled up so that its contracts are worth as much as the rewards."""
    state = lockstep.init(LEARNER, PARAMS, RATES, jax.random.key(seed))
    return jax.tree.map(lambda leaf: 3 * leaf, run_state.target_weights(state))


def terms(scheme: Scheme = PRINCIPAL) -> Terms:
    principal = freeze(LEARNER, PARAMS, RATES, weights_of(0))
    return schemes.terms(ENV, PARAMS, RATES, principal, scheme)


def assert_same(one, other, tolerance: float = 0.0) -> None:
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


@pytest.fixture(scope="module")
def validate():
    """The compiled program, `(key, weights, rates, scheme) -> result`."""
    return jax.jit(validation.make_validate(CONFIG, ENV, PARAMS))


@pytest.fixture(scope="module")
def learn():
    """The compiled program, `(terms, state, stretch) -> (state, loss)`."""
    return jax.jit(functools.partial(validation.learn, VALIDATOR))


@pytest.fixture(scope="module")
def evaluate():
    """The panels of a policy, `(terms, policy) -> metrics`, compiled once for each policy."""

    def of_policy(facing: Terms, policy) -> panels.ValidationMetrics:
        return panels.evaluate(ENV, facing, policy, jnp.float32(7))

    return jax.jit(of_policy, static_argnums=1)


def obey(game, asked):
    del game
    return asked


def go_right(game, asked):
    del game
    return asked * 0


def partly_follow(game, asked):
    """The first agent follows while the coin is in the left column, the second never on purpose."""
    return jnp.stack([jnp.where(game.coin % 2 == 0, asked[0], 1), jnp.int32(2)])


# --- What is paid -----------------------------------------------------------------------------


def test_rewards_of_every_scheme_are_those_computed_by_hand():
    reward, payment = jnp.array([1.0, 0.2, 0.0]), jnp.array([0.5, 0.0, 0.25])
    nothing = jnp.zeros(3)
    for scheme, by_principal, expected in (
        (SELFISH, nothing, [1.0, 0.2, 0.0]),
        (COOPERATIVE, nothing, [1.2, 1.2, 1.2]),
        (Scheme(proportion=0.5), nothing, [1.1, 0.7, 0.6]),
        (PRINCIPAL, payment, [1.5, 0.2, 0.25]),
    ):
        found = schemes.total_rewards(scheme, reward, by_principal)
        np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_only_those_who_follow_are_paid_the_most_that_any_choice_of_the_others_makes_it_cost():
    facing, states = terms(), ENV.tabular_states()
    offers = jax.jit(jax.vmap(lockstep.offer, (None, None, None, None, 0, None)), static_argnums=0)
    offered = {
        follows: offers(LEARNER, PARAMS, RATES, weights_of(0), states, jnp.array(follows))
        for follows in FOLLOW_SETS
    }
    asked = np.asarray(offered[True, True].recommendation)
    np.testing.assert_array_equal(recommended(ENV, facing, states), asked)
    everywhere = np.arange(len(asked))
    for agent in range(2):
        costs = [
            np.asarray(offer.contract.payments)[everywhere, agent, asked[:, agent]]
            for offer in offered.values()
        ]
        for follows in FOLLOW_SETS:
            action = np.where(follows, asked, (asked + 1) % 4)
            found = paid(ENV, facing, states, asked, action)
            expected = follows[agent] * (np.max(costs, axis=0) + 0.03)
            np.testing.assert_allclose(found[:, agent], expected, atol=1e-5)
        # The bits matter to this principal, or nothing was tested.
        assert np.ptp(costs, axis=0).max() > 0.01


def test_a_share_of_the_contracts_may_be_paid():
    states = ENV.tabular_states()
    asked = recommended(ENV, terms(), states)
    full, half = (
        paid(ENV, terms(Scheme(contract_weight=weight)), states, asked, asked)
        for weight in (1.0, 0.5)
    )
    assert np.max(full) > 0.1
    np.testing.assert_allclose(half, full / 2, atol=1e-6)


def test_without_a_principal_nothing_is_recommended_told_or_paid():
    facing, states = terms(Scheme(nudge=0.5)), ENV.tabular_states()
    asked = recommended(ENV, facing, states)
    assert np.all(asked == schemes.NO_ACTION)
    assert not jax.nn.one_hot(asked, 4).any()
    for action in range(4):
        done = jnp.full_like(asked, action)
        assert not paid(ENV, facing, states, asked, done).any()


def test_a_nudge_is_worth_its_share_of_the_welfare_if_all_follow(evaluate):
    weights = weights_of(0)
    followed = schemes.followed_play(ENV, PARAMS, freeze(LEARNER, PARAMS, RATES, weights))
    offered = play.learned_offers(LEARNER, PARAMS, RATES, weights)
    assert_same(followed, audit(ENV, PARAMS, offered).values, 1e-5)
    for share in (0.0, 0.1):
        compared = schemes.compared(ENV, PARAMS, followed, share)
        obeyed = evaluate(terms(compared["principal"]), obey)
        extra = obeyed.payment - followed.payment
        np.testing.assert_allclose(extra, share * followed.welfare, atol=1e-4)
        # The constant proportion pays the same share of whatever welfare there is.
        constant = evaluate(terms(compared["constant"]), go_right)
        assert constant.welfare > 0
        np.testing.assert_allclose(constant.payment_share, obeyed.payment_share, rtol=1e-4)


# --- What is measured -------------------------------------------------------------------------


def test_agents_that_do_what_is_recommended_are_as_well_off_as_if_they_followed(evaluate):
    found = evaluate(terms(), obey)
    np.testing.assert_allclose(found.own_over_recommended_following, 1, rtol=1e-6)
    np.testing.assert_allclose(found.own_over_recommended_own, 1, rtol=1e-6)
    np.testing.assert_allclose(found.follow_share, 1, rtol=1e-6)


def test_the_panels_are_what_sampled_episodes_bring(evaluate):
    facing = terms()

    def episode(follow_set, key):
        def step(game, key):
            asked = schemes.recommended(ENV, facing, game)
            action = jnp.where(follow_set, asked, partly_follow(game, asked))
            payment = schemes.paid(ENV, facing, game, asked, action)
            _, _, reward, *_, info = ENV.step(key, game, action, PARAMS)
            return info["next_state"], (reward, payment, action == asked)

        key_reset, key_steps = jax.random.split(key)
        _, game = ENV.reset_env(key_reset, PARAMS)
        return jax.lax.scan(step, game, jax.random.split(key_steps, 8))[1]

    episodes = jax.jit(jax.vmap(episode, (None, 0)))
    keys = jax.random.split(jax.random.key(3), 40_000)
    brought = {follows: episodes(jnp.array(follows), keys) for follows in FOLLOW_SETS}
    utility = {bits: np.mean((r + p).sum(axis=1), axis=0) for bits, (r, p, _) in brought.items()}
    reward, payment, follows = brought[False, False]

    found = evaluate(facing, partly_follow)
    np.testing.assert_allclose(found.welfare, np.mean(reward.sum(axis=(1, 2))), rtol=0.02)
    np.testing.assert_allclose(found.payment, np.mean(payment.sum(axis=(1, 2))), rtol=0.02)
    np.testing.assert_allclose(found.payment_share, found.payment / found.welfare, rtol=1e-5)
    np.testing.assert_allclose(found.follow_share, np.mean(follows), rtol=0.02)
    all_follow, none_follows = utility[True, True], utility[False, False]
    only_first, only_second = utility[True, False], utility[False, True]
    following = (only_second[0] / all_follow[0] + only_first[1] / all_follow[1]) / 2
    own = (none_follows[0] / only_first[0] + none_follows[1] / only_second[1]) / 2
    np.testing.assert_allclose(found.own_over_recommended_following, following, rtol=0.02)
    np.testing.assert_allclose(found.own_over_recommended_own, own, rtol=0.02)
    assert found.best_response_over_following >= found.own_over_recommended_following
    assert abs(following - own) > 0.04, "or the two were not told apart"
    assert found.agent_loss == 7


def test_black_boxes_are_held_against_exact_values():
    offered = play.learned_offers(LEARNER, PARAMS, RATES, weights_of(0))
    found = audit(ENV, PARAMS, offered)
    yardstick = terms(Scheme(contract_weight=1.0)).yardstick
    best = np.mean(found.best_responses / found.values.utilities)
    np.testing.assert_allclose(yardstick.best_response_over_following, best, rtol=1e-4)
    assert best > 1.001
    # A nudge makes it less worth to deviate.
    assert terms(Scheme(1.0, nudge=0.5)).yardstick.best_response_over_following < best
    np.testing.assert_allclose(yardstick.optimal_welfare, ENV.optimal_welfare(PARAMS), rtol=1e-6)
    share = ENV.equilibrium(PARAMS, RATES.alpha).payment_share
    np.testing.assert_allclose(yardstick.equilibrium_payment_share, share, rtol=1e-6)
    assert np.isnan(terms(SELFISH).yardstick.best_response_over_following)


@pytest.mark.parametrize(
    ("name", "settings"),
    [("game_tree", {"depth": 2}), ("coin_game", {"grid_size": 3, "num_agents": 3})],
)
def test_a_game_without_several_agents_and_exact_solutions_is_refused(name, settings):
    env, params = make(name, **settings)
    with pytest.raises(ValueError, match="several agents, observed actions and exact solutions"):
        validation.make_validate(CONFIG, env, params)


# --- The phase as a whole ---------------------------------------------------------------------


def test_what_is_stored_is_what_was_paid(learn):
    facing = terms(Scheme(contract_weight=1.0, proportion=0.5, nudge=0.03))
    state, _ = learn(facing, validation.init(VALIDATOR, facing, jax.random.key(3)), 0)
    ring = jax.tree.map(lambda leaf: leaf[: 20 * CONFIG.num_envs], state.replay)
    asked = recommended(ENV, facing, ring.state)
    np.testing.assert_array_equal(ring.follows, ring.action == asked)
    assert 0 < np.mean(ring.follows) < 1
    plain = ring.principal_reward  # of the Coin Game: what each agent gets without payments
    payment = paid(ENV, facing, ring.state, asked, ring.action)
    expected = plain + 0.5 * plain[:, ::-1] + payment
    np.testing.assert_allclose(ring.agent_reward, expected, atol=1e-5)


def test_the_principal_stays_as_it_was_and_the_agents_learn(validate):
    weights = weights_of(0)
    before = jax.tree.map(np.array, weights)
    result = validate(jax.random.key(0), weights, RATES, PRINCIPAL)
    assert_same(before, weights)
    fresh = validation.init(VALIDATOR, terms(), jax.random.key(0)).agent.params
    for old, new in zip(jax.tree.leaves(fresh), jax.tree.leaves(result.params), strict=True):
        assert np.abs(old - new).max() > 1e-3
    assert result.metrics.welfare.shape == (2,)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(result))


def test_only_a_principal_that_is_in_force_matters(validate):
    one, other = weights_of(0), weights_of(1)
    key = jax.random.key(0)
    for scheme in (SELFISH, COOPERATIVE, CONSTANT):
        assert_same(validate(key, one, RATES, scheme), validate(key, other, RATES, scheme))
    ours = [validate(key, weights, RATES, PRINCIPAL).metrics for weights in (one, other)]
    assert np.abs(ours[0].payment - ours[1].payment).max() > 0.01


def test_the_principal_of_another_game_is_refused():
    env, params = make("coin_game", grid_size=3, max_steps_in_episode=8)
    validate = validation.make_validate(CONFIG, env, params)
    with pytest.raises(ValueError, match=r"not of this game, or has other networks.*agent"):
        validate(jax.random.key(0), weights_of(0), RATES, PRINCIPAL)


def test_two_seeds_differ(validate):
    one, other = (
        validate(jax.random.key(seed), weights_of(0), RATES, PRINCIPAL) for seed in (0, 1)
    )
    assert np.abs(one.metrics.agent_loss - other.metrics.agent_loss).max() > 1e-4


def test_schemes_side_by_side_are_what_they_are_alone(validate):
    several = (PRINCIPAL, SELFISH, COOPERATIVE, CONSTANT)
    stacked = jax.tree.map(lambda *numbers: jnp.array(numbers), *several)
    key, weights = jax.random.key(4), weights_of(0)
    over_schemes = jax.jit(jax.vmap(validate, (None, None, None, 0)))
    together = over_schemes(key, weights, RATES, stacked)
    for index, scheme in enumerate(several):
        one = jax.tree.map(lambda leaf, index=index: leaf[index], together)
        assert_same(validate(key, weights, RATES, scheme), one, 1e-5)


def test_stretch_by_stretch_is_the_whole(validate, learn):
    facing = terms()
    state = validation.init(VALIDATOR, facing, jax.random.key(5))
    for index in range(2):
        state, loss = learn(facing, state, index)
    metrics = validation.evaluate(VALIDATOR, facing, state, loss)
    whole = validate(jax.random.key(5), weights_of(0), RATES, PRINCIPAL)
    assert_same(whole.params, state.agent.target_params, 1e-5)
    assert_same(jax.tree.map(lambda leaf: leaf[-1], whole.metrics), metrics, 1e-5)


def test_a_second_call_with_another_scheme_compiles_nothing(validate):
    for seed, scheme in enumerate((PRINCIPAL, CONSTANT)):
        validate(jax.random.key(seed), weights_of(seed), RATES, scheme)
    assert validate._cache_size() == 1


def test_cooperative_agents_earn_more_together_than_selfish_ones():
    env, params = make("coin_game", grid_size=3, max_steps_in_episode=20)
    config = dataclasses.replace(
        CONFIG,
        iterations=2_000,
        evaluation_interval=2_000,
        target_interval=50,
        batch_size=64,
        replay="uniform",
        replay_capacity=16_000,
        hidden_sizes=(32, 32),
        loss="huber",
    )
    state = lockstep.init(lockstep.make_learner(config, env), params, RATES, jax.random.key(0))
    validate = jax.jit(validation.make_validate(config, env, params))
    selfish, cooperative = (
        validate(jax.random.key(1), run_state.target_weights(state), RATES, scheme).metrics
        for scheme in (SELFISH, COOPERATIVE)
    )
    assert cooperative.welfare[-1] > selfish.welfare[-1] + 2
    assert selfish.payment[-1] == 0
    np.testing.assert_allclose(cooperative.payment_share[-1], 1.0, rtol=1e-5)
