"""The numbers of Figures 2 and 4, compared with policies whose play is known or sampled."""

import dataclasses
import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small import COIN_ENV, COIN_PARAMS
from untrained import LEARNER, PROBLEM, frozen, terms

from jaxparl.evaluation.rollouts import record_episode
from jaxparl.validation import metrics, schemes
from jaxparl.validation.frozen import followed_play
from jaxparl.validation.schemes import Scheme
from jaxparl.validation.terms import offered

PRINCIPAL = Scheme(contract_weight=1.0, nudge=0.03)
FOLLOW_SETS = list(itertools.product((False, True), repeat=2))


def obey(env_state, asked):
    del env_state
    return asked


def go_right(env_state, asked):
    del env_state
    return asked * 0


def partly_follow(env_state, asked):
    """The first always goes up, the second follows unless the coin is in row 2, else goes down."""
    return jnp.stack([jnp.int32(3), jnp.where(env_state.coin // 3 == 2, 2, asked[1])])


POLICIES = (obey, go_right, partly_follow)


@pytest.fixture(scope="module")
def evaluate():
    """The metrics of one of `POLICIES` under a scheme, or terms, by one program for all."""

    @jax.jit
    def of_policy(terms, index) -> metrics.ValidationMetrics:
        policy = partial(jax.lax.switch, index, POLICIES)
        return metrics.evaluate(LEARNER, terms, policy, jnp.float32(7))

    return lambda scheme, policy: of_policy(
        terms(scheme) if isinstance(scheme, Scheme) else scheme, POLICIES.index(policy)
    )


def test_agents_that_do_what_is_recommended_are_as_well_off_as_if_they_followed(evaluate):
    found = evaluate(PRINCIPAL, obey)
    np.testing.assert_allclose(found.own_over_recommended_following, 1, rtol=1e-6)
    np.testing.assert_allclose(found.own_over_recommended_own, 1, rtol=1e-6)
    np.testing.assert_allclose(found.followed_share, 1, rtol=1e-6)


def test_a_nudge_is_worth_its_share_of_the_welfare_if_all_follow(evaluate):
    followed = followed_play(LEARNER, frozen())
    for share in (0.0, 0.1):
        compared = schemes.comparable_schemes(COIN_ENV, followed, share)
        obeyed = evaluate(compared["principal"], obey)
        extra = obeyed.payment - followed.value.payment
        np.testing.assert_allclose(extra, share * followed.value.welfare, atol=1e-4)
        # The constant proportion pays the same share of whatever welfare there is.
        constant = evaluate(compared["constant"], go_right)
        assert constant.welfare > 0
        np.testing.assert_allclose(constant.payment_share, obeyed.payment_share, rtol=1e-4)


def sampled(keys):
    """Steps `[D, T]` of many episodes for each set of agents that follow, the others partly."""
    facing = terms(PRINCIPAL)

    def decide(follows, env_state):
        asked, payments, _ = offered(LEARNER, facing, env_state)
        action = jnp.where(follows, asked, partly_follow(env_state, asked))
        return asked, action, payments

    @jax.jit
    def play(follows):
        episode = partial(record_episode, PROBLEM, partial(decide, follows))
        return jax.vmap(lambda key: episode(key, 20))(keys)  # over D

    return {follows: play(jnp.array(follows)) for follows in FOLLOW_SETS}


def test_the_metrics_are_what_sampled_episodes_bring(evaluate):
    played = sampled(jax.random.split(jax.random.key(3), 40_000))
    utility = {
        follows: np.mean(np.sum(steps.reward + steps.payment, axis=1), axis=0)
        for follows, steps in played.items()
    }
    own = played[False, False]
    welfare, payment = (np.mean(np.sum(leaf, axis=(1, 2))) for leaf in (own.reward, own.payment))

    found = evaluate(PRINCIPAL, partly_follow)
    np.testing.assert_allclose(found.welfare, welfare, rtol=0.02)
    np.testing.assert_allclose(found.payment, payment, rtol=0.02)
    np.testing.assert_allclose(found.payment_share, found.payment / found.welfare, rtol=1e-5)
    followed = np.mean(own.action == own.recommendation)
    np.testing.assert_allclose(found.followed_share, followed, rtol=0.02)
    all_follow, none_follows = utility[True, True], utility[False, False]
    only_first, only_second = utility[True, False], utility[False, True]
    following = (only_second[0] / all_follow[0] + only_first[1] / all_follow[1]) / 2
    own = (none_follows[0] / only_first[0] + none_follows[1] / only_second[1]) / 2
    np.testing.assert_allclose(found.own_over_recommended_following, following, rtol=0.02)
    np.testing.assert_allclose(found.own_over_recommended_own, own, rtol=0.02)
    assert found.best_response_over_following >= found.own_over_recommended_following
    assert abs(following - own) > 0.04, "or the two were not told apart"
    assert found.agent_loss == 7


def test_shares_of_losses_are_undefined(evaluate):
    # Coins of the other's colour cost 5, and the contracts pay next to nothing.
    facing = terms(Scheme(contract_weight=1e-6))
    losing = dataclasses.replace(facing, env_params=COIN_PARAMS.replace(other_reward=-5.0))
    found = evaluate(losing, go_right)
    assert found.welfare < 0 < found.payment
    assert 0 < found.followed_share < 1
    for name in ("payment_share", "own_over_recommended_following", "own_over_recommended_own"):
        assert np.isnan(getattr(found, name)), name
