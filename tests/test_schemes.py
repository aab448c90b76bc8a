"""The schemes that reward black-box agents, against numbers computed by hand."""

import jax
import jax.numpy as jnp
import numpy as np
from small import COIN_ENV
from untrained import LEARNER, PROBLEM, frozen, offered

from jaxparl.evaluation.audit import audit
from jaxparl.types import PlayValue
from jaxparl.validation import schemes
from jaxparl.validation.frozen import Followed, followed_play
from jaxparl.validation.schemes import Scheme


def test_rewards_of_every_scheme_are_those_computed_by_hand():
    reward, payment = jnp.array([1.0, 0.2, 0.0]), jnp.array([0.5, 0.0, 0.25])
    nothing = jnp.zeros(3)
    for scheme, by_principal, expected in (
        (Scheme(), nothing, [1.0, 0.2, 0.0]),
        (Scheme(proportion=1.0), nothing, [1.2, 1.2, 1.2]),
        (Scheme(proportion=0.5), nothing, [1.1, 0.7, 0.6]),
        (Scheme(contract_weight=1.0, nudge=0.03), payment, [1.5, 0.2, 0.25]),
    ):
        found = schemes.total_rewards(scheme, reward, by_principal)
        np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_a_frozen_principal_is_worth_what_its_offers_are_worth():
    followed = followed_play(LEARNER, frozen())
    expected = audit(PROBLEM, offered()).values
    for found, value in zip(*map(jax.tree.leaves, (followed.value, expected)), strict=True):
        np.testing.assert_allclose(found, value, rtol=1e-5, atol=1e-5)
    # Two agents, who are recommended something in each of 20 steps.
    assert followed.recommendations == 40


def test_compared_schemes_are_those_computed_by_hand():
    # Followed, it pays 2 of a welfare of 8: a quarter.
    value = PlayValue(jnp.float32(8.0), jnp.float32(2.0), jnp.array([5.0, 5.0]))
    followed = Followed(value, jnp.float32(40.0))
    found = schemes.comparable_schemes(COIN_ENV, followed, 0.1)
    assert list(found) == ["principal", "constant", "cooperative", "selfish"]
    # A tenth of the welfare in 40 parts: 2 agents follow 20 recommendations each.
    np.testing.assert_allclose(found["principal"].nudge, 0.8 / 40, rtol=1e-6)
    np.testing.assert_allclose(found["constant"].proportion, 0.25 + 0.1, rtol=1e-6)
    assert found["principal"].contract_weight == 1.0
    assert found["cooperative"] == Scheme(proportion=1.0)
    assert found["selfish"] == Scheme()
    without_nudge = schemes.comparable_schemes(COIN_ENV, followed, 0.0)
    assert without_nudge["principal"].nudge == 0.0


def test_nothing_is_shared_of_a_welfare_that_is_not_positive():
    for welfare in (0.0, -8.0):
        value = PlayValue(jnp.float32(welfare), jnp.float32(2.0), jnp.array([-3.0, -3.0]))
        assert np.isnan(value.payment_share)
        followed = Followed(value, jnp.float32(40.0))
        found = schemes.comparable_schemes(COIN_ENV, followed, 0.1)
        assert found["principal"].nudge == 0
        np.testing.assert_allclose(found["constant"].proportion, 0.1, rtol=1e-6)
