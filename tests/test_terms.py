"""What black-box agents are offered and paid, and the exact values that they are compared with."""

import dataclasses
import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from small import COIN_ENV, COIN_PARAMS
from untrained import CONFIG, LEARNER, PROBLEM, frozen, offered, terms, weights

from jaxparl.evaluation.audit import audit
from jaxparl.evaluation.offers import payments_for
from jaxparl.learning.learner import make_learner
from jaxparl.validation import terms as facing
from jaxparl.validation.schemes import Scheme
from jaxparl.validation.terms import NO_ACTION, make_terms

PRINCIPAL, SELFISH = Scheme(contract_weight=1.0, nudge=0.03), Scheme()
FOLLOW_SETS = list(itertools.product((False, True), repeat=2))
STATES = COIN_ENV.exact.states()


def paid(terms, states, action):
    """What is paid for actions `[S, N]`; they are observed."""
    _, payments, _ = offered_under(terms, states)
    return payments_for(payments, jnp.asarray(action))


# Over S.
recommended = jax.jit(jax.vmap(partial(facing.recommended, LEARNER), (None, 0)))
offered_under = jax.jit(jax.vmap(partial(facing.offered, LEARNER), (None, 0)))
offers = jax.jit(jax.vmap(LEARNER.offer, (None, 0, None)))


def test_only_those_who_follow_are_paid_the_most_that_any_choice_of_the_others_makes_it_cost():
    by_choice = {follows: offers(weights(), STATES, jnp.array(follows)) for follows in FOLLOW_SETS}
    asked = np.asarray(by_choice[True, True].recommendation)
    np.testing.assert_array_equal(recommended(terms(PRINCIPAL), STATES), asked)
    everywhere = np.arange(len(asked))
    for agent in range(2):
        costs = [
            np.asarray(offer.contract.payments)[everywhere, agent, asked[:, agent]]
            for offer in by_choice.values()
        ]
        for follows in FOLLOW_SETS:
            action = np.where(follows, asked, (asked + 1) % 4)
            found = paid(terms(PRINCIPAL), STATES, action)
            expected = follows[agent] * (np.max(costs, axis=0) + 0.03)
            np.testing.assert_allclose(found[:, agent], expected, atol=1e-5)
        # The bits matter to this principal, or nothing was tested.
        assert np.ptp(costs, axis=0).max() > 0.01


def test_a_share_of_the_contracts_may_be_paid():
    asked = recommended(terms(PRINCIPAL), STATES)
    full, half = (paid(terms(Scheme(contract_weight=share)), STATES, asked) for share in (1.0, 0.5))
    assert np.max(full) > 0.1
    np.testing.assert_allclose(half, full / 2, atol=1e-6)


def test_without_a_principal_nothing_is_recommended_told_or_paid():
    without = terms(Scheme(nudge=0.5))
    asked = recommended(without, STATES)
    assert np.all(asked == NO_ACTION)
    assert not jax.nn.one_hot(asked, 4).any()
    for action in range(4):
        assert not paid(without, STATES, jnp.full_like(asked, action)).any()


def test_black_boxes_are_compared_with_exact_values():
    found = audit(PROBLEM, offered())
    reference = terms(Scheme(contract_weight=1.0)).reference
    best = np.mean(found.best_responses / found.values.utilities)
    np.testing.assert_allclose(reference.best_response_over_following, best, rtol=1e-4)
    assert best > 1.001
    # With a nudge, deviating is worth less.
    nudged = terms(Scheme(contract_weight=1.0, nudge=0.5)).reference
    assert nudged.best_response_over_following < best
    optimum = COIN_ENV.exact.optimal_welfare(COIN_PARAMS)
    np.testing.assert_allclose(reference.optimal_welfare, optimum, rtol=1e-6)
    alpha, gamma = CONFIG.hyper_params.alpha, COIN_PARAMS.discount
    equilibrium = COIN_ENV.exact.equilibrium(COIN_PARAMS, alpha, gamma)
    np.testing.assert_allclose(
        reference.equilibrium_payment_share, equilibrium.payment_share, rtol=1e-6
    )
    assert np.isnan(terms(SELFISH).reference.best_response_over_following)


def test_the_best_response_to_losses_is_no_multiple_of_them():
    problem = PROBLEM._replace(env_params=COIN_PARAMS.replace(other_reward=-5.0))
    unpaid = dataclasses.replace(frozen(), payment=0 * frozen().payment)
    reference = make_terms(make_learner(problem), unpaid, Scheme(contract_weight=1.0)).reference
    assert np.isnan(reference.best_response_over_following)
    assert reference.optimal_welfare > 0
