"""Black-box agents: what they store, and that they learn."""

import dataclasses

import jax
import numpy as np
import pytest
from untrained import CONFIG, LEARNER, terms, validation_of

from jaxparl.evaluation.offers import payments_for
from jaxparl.validation import terms as facing
from jaxparl.validation.schemes import Scheme

LONG = dataclasses.replace(
    CONFIG,
    iterations=1_000,
    evaluation_interval=1_000,
    target_interval=50,
    batch_size=64,
    loss="huber",
)


def test_what_is_stored_is_what_was_paid():
    scheme = terms(Scheme(contract_weight=1.0, proportion=0.5, nudge=0.03))
    task = validation_of(CONFIG)
    state, _ = task.learn(scheme, task.init(scheme, jax.random.key(3)), 0)
    ring = jax.device_get(state.replay.ring)
    stored = jax.tree.map(lambda leaf: leaf[: 20 * CONFIG.num_envs], ring)

    def offered(env_state, action):
        offers = facing.offered(LEARNER, scheme, env_state)
        payments = offers.settled(action)
        return offers.recommendation, payments_for(payments, action.astype(int))

    asked, payment = jax.jit(jax.vmap(offered))(stored.env_state, stored.action)
    np.testing.assert_array_equal(stored.follows, stored.action == asked)
    assert 0 < np.mean(stored.follows) < 1
    plain = stored.principal_reward  # of the Coin Game: what each agent gets without payments
    expected = plain + 0.5 * plain[:, ::-1] + payment
    np.testing.assert_allclose(stored.agent_reward, expected, atol=1e-5)


@pytest.mark.slow
def test_cooperative_agents_earn_more_together_than_selfish_ones():
    task = validation_of(LONG)

    def learned(scheme):
        state = task.init(scheme, jax.random.key(1))
        for segment in range(LONG.iterations // LONG.segment_length):
            state, loss = task.learn(scheme, state, segment)
        return task.evaluate(scheme, state, loss)

    selfish, cooperative = learned(terms(Scheme())), learned(terms(Scheme(proportion=1.0)))
    assert cooperative.welfare > selfish.welfare + 2
    assert selfish.payment == 0
    np.testing.assert_allclose(cooperative.payment_share, 1.0, rtol=1e-5)
