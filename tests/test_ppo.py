"""Black boxes that learn by proximal policy optimisation."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from untrained import CONFIG, LEARNER, terms, validation_of

from jaxparl.evaluation.offers import payments_for
from jaxparl.validation import ppo
from jaxparl.validation import terms as facing
from jaxparl.validation.advantages import Steps, weigh
from jaxparl.validation.black_boxes import told
from jaxparl.validation.schemes import Scheme

PPO = dataclasses.replace(CONFIG, black_boxes="ppo")
LONG = dataclasses.replace(
    PPO, iterations=2_000, evaluation_interval=2_000, target_interval=50, hidden_sizes=(32,)
)


def made(scheme, config=PPO):
    return ppo.make_black_boxes(config, LEARNER.problem.env, scheme)


@pytest.fixture(scope="module")
def learned():
    """Terms, and the state after two periods of ten iterations."""
    scheme = terms(Scheme(contract_weight=1.0, proportion=0.5, nudge=0.03))
    task = validation_of(PPO)
    state, loss = task.learn(scheme, task.init(scheme, jax.random.key(3)), 0)
    assert np.isfinite(loss)
    return scheme, state


def test_what_is_learned_from_is_what_was_paid(learned):
    scheme, state = learned
    steps = state.steps

    def offered(env_state, action):
        offers = facing.offered(LEARNER, scheme, env_state)
        payments = offers.settled(action)
        return offers.recommendation, payments_for(payments, action.astype(int))

    asked, payment = jax.jit(jax.vmap(jax.vmap(offered)))(steps.env_state, steps.action)
    assert 0 < np.mean(asked == steps.action) < 1

    def plain(env_state, action, next_env_state):
        del next_env_state
        env, params = LEARNER.problem.env, LEARNER.problem.env_params
        return env.step(jax.random.key(0), env_state, action, params)[2]

    reward = jax.jit(jax.vmap(jax.vmap(plain)))(steps.env_state, steps.action, steps.next_env_state)
    expected = reward + 0.5 * reward[..., ::-1] + payment
    np.testing.assert_allclose(steps.reward, expected, atol=1e-5)


def test_a_rollout_is_the_period_before(learned):
    _, state = learned
    count = PPO.target_interval * PPO.num_envs
    assert len(state.rollout.action) == count
    # The steps of the last period are still there: they are written over in the next one.
    np.testing.assert_array_equal(state.rollout.action, state.steps.action.reshape(count, -1))
    np.testing.assert_allclose(state.rollout.advantage.mean(), 0, atol=1e-5)
    np.testing.assert_allclose(state.rollout.advantage.std(), 1, rtol=1e-3)
    assert (state.rollout.log_prob <= 0).all() and (state.rollout.weight == 1).all()


@pytest.mark.slow
def test_in_the_first_period_nothing_is_learned():
    scheme = terms(Scheme(contract_weight=1.0))
    boxes = made(scheme)
    state = jax.jit(partial(ppo.init, boxes))(jax.random.key(0))
    after, loss = jax.jit(partial(ppo.iterate, boxes))(state, 0)
    assert loss == 0
    for before, now in zip(
        *map(jax.tree.leaves, (state.agent.params, after.agent.params)), strict=True
    ):
        np.testing.assert_array_equal(before, now)


def test_the_gradient_raises_what_was_better_than_expected_and_no_further_than_the_clip():
    scheme = terms(Scheme(contract_weight=1.0))
    boxes = made(scheme)
    state = jax.jit(partial(ppo.init, boxes))(jax.random.key(0))
    rollout = jax.tree.map(lambda leaf: leaf[:1], state.rollout)
    know = jax.vmap(partial(ppo.known_in, boxes))(rollout.env_state)

    def log_prob(params):
        return ppo.of_action(ppo.log_policy(boxes, params, know), rollout.action)

    before = log_prob(state.agent.params)
    rollout = dataclasses.replace(
        rollout, log_prob=before, advantage=jnp.array([[1.0, -1.0]]), weight=jnp.ones((1, 2))
    )
    agent, _ = ppo.learn(boxes, state.agent, rollout, jax.random.key(1), 0)
    change = (log_prob(agent.params) - before)[0]
    assert change[0] > change[1]


@pytest.mark.parametrize(
    "ratio, advantage, is_clipped",
    [(2.0, 1.0, True), (2.0, -1.0, False), (0.5, -1.0, True), (0.5, 1.0, False)],
)
def test_past_the_clip_only_what_went_the_wrong_way_is_learned_from(ratio, advantage, is_clipped):
    boxes = made(terms(Scheme(contract_weight=1.0)))
    state = jax.jit(partial(ppo.init, boxes))(jax.random.key(0))
    rollout = jax.tree.map(lambda leaf: leaf[:1], state.rollout)
    know = jax.vmap(partial(ppo.known_in, boxes))(rollout.env_state)
    before = ppo.of_action(ppo.log_policy(boxes, state.agent.params, know), rollout.action)

    def learned(advantage):
        given = dataclasses.replace(
            rollout,
            log_prob=before - jnp.log(ratio),
            advantage=advantage * jnp.ones((1, 2)),
            weight=jnp.ones((1, 2)),
        )
        agent, _ = ppo.learn(boxes, state.agent, given, jax.random.key(1), 0)
        return jax.tree.leaves(agent.params["policy"])

    # Twice as large an advantage makes no difference where it does not count.
    pairs = zip(learned(advantage), learned(5 * advantage), strict=True)
    same = all(np.allclose(one, other, atol=1e-7) for one, other in pairs)
    assert same == is_clipped


def test_who_must_follow_is_not_learned_from_however_unlikely_what_it_did_is():
    boxes = made(terms(Scheme(contract_weight=1.0)))
    state = jax.jit(partial(ppo.init, boxes))(jax.random.key(0))
    rollout = dataclasses.replace(
        state.rollout,
        log_prob=jnp.full_like(state.rollout.log_prob, -200.0),
        advantage=jnp.full_like(state.rollout.advantage, -1.0),
    )
    agent, loss = ppo.learn(boxes, state.agent, rollout, jax.random.key(1), 0)
    assert loss == 0
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(agent.params))


def test_what_an_agent_does_not_have_it_never_does_and_the_rest_is_drawn_as_before():
    boxes = made(terms(Scheme(contract_weight=1.0)))
    state = jax.jit(partial(ppo.init, boxes))(jax.random.key(0))
    env_state = jax.tree.map(lambda leaf: leaf[0], state.actor.env_state)
    know = ppo.known_in(boxes, env_state)
    free = ppo.log_policy(boxes, state.agent.params, know)
    has = jnp.array([[True, False, True, True], [True, True, False, False]])
    bound = ppo.log_policy(boxes, state.agent.params, know._replace(available=has))
    assert (np.exp(bound)[~has] == 0).all()
    rest = np.where(has, np.exp(free), 0)
    np.testing.assert_allclose(np.exp(bound), rest / rest.sum(axis=-1, keepdims=True), rtol=1e-5)


def test_advantages_are_sums_of_surprises_that_stop_where_an_episode_ends():
    rng = np.random.default_rng(0)
    shape, gamma, look = (6, 3, 2), 0.9, 0.95
    reward, now, ahead = rng.normal(size=(3, *shape)).astype(np.float32)
    ends = rng.random(shape[:2]) < 0.3
    continues = np.where(ends & (rng.random(shape[:2]) < 0.5), 0.0, 1.0).astype(np.float32)
    each = jnp.zeros(shape)
    steps = Steps((), each, each, reward, (), continues, ends, each + 1)
    found = weigh(steps, now, ahead, gamma).value.reshape(shape) - now
    for env in range(3):
        for start in range(6):
            total, factor = np.zeros(2), 1.0
            for t in range(start, 6):
                surprise = reward[t, env] + gamma * continues[t, env] * ahead[t, env] - now[t, env]
                total, factor = total + factor * surprise, factor * gamma * look
                if ends[t, env]:
                    break
            np.testing.assert_allclose(found[start, env], total, atol=1e-5)


def test_cooperative_agents_earn_more_together_than_selfish_ones():
    task = validation_of(LONG)

    def brings(scheme):
        state = task.init(scheme, jax.random.key(1))
        for segment in range(LONG.iterations // LONG.segment_length):
            state, loss = task.learn(scheme, state, segment)
        return task.evaluate(scheme, state, loss)

    selfish, cooperative = brings(terms(Scheme())), brings(terms(Scheme(proportion=1.0)))
    assert cooperative.welfare > selfish.welfare + 2
    assert selfish.payment == 0


@pytest.mark.parametrize("black_boxes", [pytest.param("dqn", marks=pytest.mark.slow), "ppo"])
def test_agents_may_be_told_what_is_paid(black_boxes):
    config = dataclasses.replace(CONFIG, black_boxes=black_boxes, payments_told=True)
    task = validation_of(config)
    scheme = terms(Scheme(contract_weight=1.0))
    state, loss = task.learn(scheme, task.init(scheme, jax.random.key(3)), 0)
    found = task.evaluate(scheme, state, loss)
    assert np.isfinite(found.welfare)
    env_state = jax.tree.map(lambda leaf: leaf[0], state.actor.env_state)
    boxes = made(scheme, config)
    asked, payments, _ = facing.offered(LEARNER, scheme, env_state)
    np.testing.assert_array_equal(
        told(boxes, env_state, asked),
        np.concatenate([np.eye(LEARNER.problem.env.num_actions)[asked], payments], axis=-1),
    )
