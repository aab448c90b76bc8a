"""Standing offers where actions are hidden: one contract that holds whoever follows."""

from __future__ import annotations

import types
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import told
from scipy.optimize import linprog

from jaxparl.config import Config
from jaxparl.contracts import incentive_slack, minimal_contract
from jaxparl.evaluation.offers import follow_sets, standing_offer
from jaxparl.learning.lockstep import Lockstep
from jaxparl.learning.principal import Principal
from jaxparl.learning.problem import Problem

ACTIONS, OUTCOMES, NUDGE, COUNT, MANY = 3, 4, 0.01, 200, 4_000


UNIFORM = np.full(ACTIONS, NUDGE)


def stub_learner(num_agents: int, nudge_scale: float = 0.0) -> Lockstep:
    """A learner whose state is all that it knows.

    A state is `(q, probs, outputs)`: Q-values `[M, N, A]` by what the others do, outcome
    probabilities `[N, A, O]` and the principal's `[N, A]`.
    """
    env = types.SimpleNamespace(
        num_agents=num_agents,
        num_actions=ACTIONS,
        observed_actions=False,
        identifies_agents=False,
        get_obs=lambda env_state, env_params: env_state,
        available_actions=lambda env_state, env_params: None,
    )
    hyper_params = types.SimpleNamespace(nudge=NUDGE, nudge_scale=nudge_scale)
    problem = Problem(Config(), env, None, hyper_params)  # type: ignore[arg-type]

    def q_values(params, observation, bits, probs):
        number = (bits @ 2 ** jnp.arange(num_agents - 1)).astype(int)
        return observation[0][number, jnp.arange(num_agents)]

    principal = Principal(
        problem=problem,
        critic=types.SimpleNamespace(q_contractual=lambda outputs, probs, payment: outputs),
        network=types.SimpleNamespace(apply=lambda params, observation, bits: observation[2]),
        optimizer=None,  # type: ignore[arg-type]
    )
    agent = types.SimpleNamespace(q_values=q_values)
    model = types.SimpleNamespace(probs=lambda params, env_state, observation: env_state[1])
    return Lockstep(problem, agent, principal, model)  # type: ignore[arg-type]


def random_states(num_agents: int, count: int = COUNT, *, has_mixtures: bool = False):
    """So many states of a stub learner.

    With mixtures, one action has the same outcomes as another in a third of the states, and in
    another third a mixture of those of two: then it depends on what they are worth, and so on who
    follows, whether a contract implements it.
    """
    rng = np.random.default_rng(num_agents)
    sets = 2 ** (num_agents - 1)
    q = rng.uniform(-1, 0, (count, sets, num_agents, ACTIONS))
    probs = rng.dirichlet(np.ones(OUTCOMES), (count, num_agents, ACTIONS))
    if has_mixtures:
        probs[::3, :, 1] = probs[::3, :, 0]
        probs[1::3, :, 2] = probs[1::3, :, :2].mean(axis=2)
    return (
        q.astype(np.float32),
        probs.astype(np.float32),
        rng.uniform(0, 2, (count, num_agents, ACTIONS)).astype(np.float32),
    )


WEIGHTS = types.SimpleNamespace(principal=None, agent=None, agent_average=None, outcome_model=None)


def least_joint_payment(q, probs, action, nudge=UNIFORM):
    """The least expected payment under all Q-values `[M, A]` at once by HiGHS, None without one.

    `nudge` `[A]` is against each action.
    """
    others = [other for other in range(ACTIONS) if other != action]
    result = linprog(
        probs[action],
        A_ub=np.concatenate([probs[others] - probs[action]] * len(q)),
        b_ub=np.concatenate([row[action] - row[others] - nudge[others] for row in q]),
        bounds=(0, None),
        method="highs",
    )
    return result.fun if result.status == 0 else None


def slack(q, probs, action, payments):
    """The least slack under any Q-values `[M, A]`."""
    each = jax.vmap(incentive_slack, (0, None, None, None))
    return jnp.min(each(q, probs, action, payments))


def test_a_nudge_is_in_proportion_to_what_the_principal_would_lose():
    scale = 0.8  # most differences of the worths, between 0 and 2, are larger
    learner, states = stub_learner(2, nudge_scale=scale), random_states(2)
    q, probs, worth = states
    offered = jax.jit(jax.vmap(partial(standing_offer, learner, WEIGHTS)))(states)
    for place in np.ndindex(COUNT, 2):
        state, agent = place
        action = int(offered.recommendation[place])
        loss = np.maximum(worth[place][action] - worth[place], 0)
        nudge = NUDGE * np.minimum(loss / scale, 1)
        least = least_joint_payment(q[state, :, agent], probs[place], action, nudge)
        assert bool(offered.contract.implementable[place]) == (least is not None)
        if least is not None:
            price = float(offered.contract.expected_payment[place])
            assert price == pytest.approx(least, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("num_agents", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_a_standing_offer_implements_its_action_whoever_follows_and_at_the_least_price(num_agents):
    learner, states = stub_learner(num_agents), random_states(num_agents)
    q, probs, _ = states
    offered = jax.jit(jax.vmap(partial(standing_offer, learner, WEIGHTS)))(states)
    by_agent = np.moveaxis(q, 1, 2)  # [COUNT, N, M, A]
    action, payments = offered.recommendation, offered.contract.payments
    found = jax.vmap(jax.vmap(slack))(by_agent, probs, action, payments)

    implementable, price = map(
        np.asarray, (offered.contract.implementable, offered.contract.expected_payment)
    )
    for place in np.ndindex(COUNT, num_agents):
        least = least_joint_payment(by_agent[place], probs[place], int(action[place]))
        assert implementable[place] == (least is not None)
        if least is not None:
            assert found[place] >= NUDGE - 1e-5
            assert price[place] == pytest.approx(least, rel=1e-4, abs=1e-5)
    assert implementable.mean() > 0.3

    # The largest payment for each outcome is no contract: it often leaves something to gain.
    @jax.jit
    @jax.vmap
    def largest(state):
        sets = jnp.asarray(follow_sets(num_agents))
        each = jax.vmap(partial(learner.offer, WEIGHTS, state))(sets)  # over M
        return each.contract.payments.max(axis=0)

    wrong = jax.vmap(jax.vmap(slack))(by_agent, probs, action, largest(states))
    assert np.mean(np.asarray(wrong)[implementable] < -1e-3) > 0.05


def test_one_agent_is_offered_its_least_contract_to_the_bit():
    learner, states = stub_learner(1), random_states(1)

    @jax.jit
    @jax.vmap
    def offered_and_least(state):
        offered = standing_offer(learner, WEIGHTS, state)
        q, probs, _ = state
        return offered.contract, minimal_contract(
            q[0, 0], probs[0], offered.recommendation[0], NUDGE
        )

    pairs = zip(*map(jax.tree.leaves, offered_and_least(states)), strict=True)
    for leaf, expected in pairs:
        np.testing.assert_array_equal(leaf[:, 0], expected)


def refused_share(num_agents: int, count: int) -> float:
    """Checks that offers implement their actions whoever follows, or are refused, and how many."""
    learner = stub_learner(num_agents)
    states = random_states(num_agents, count, has_mixtures=True)
    q, probs, _ = states
    found = jax.jit(jax.vmap(partial(standing_offer, learner, WEIGHTS)))(states)
    of_agents = jax.vmap(jax.vmap(slack))
    least = of_agents(np.moveaxis(q, 1, 2), probs, found.recommendation, found.contract.payments)
    implements = np.asarray(found.contract.implementable)
    assert (np.asarray(least)[implements] >= NUDGE - 1e-5).all()
    assert not np.asarray(found.contract.payments)[~implements].any()
    assert (np.asarray(found.contract.payments) >= 0).all()
    return 1 - implements.mean()


@pytest.mark.parametrize("num_agents", [2, 3, 5])
def test_whoever_follows_an_offer_implements_its_action_or_is_refused(num_agents):
    assert 0.05 < refused_share(num_agents, COUNT) < 0.7


def test_an_offer_is_refused_where_only_the_rounding_of_its_rows_is_paid_for():
    """By HiGHS there is a contract then, too, at payments in millions."""
    learner, states = stub_learner(2), random_states(2, has_mixtures=True)
    q, probs, _ = states
    found = jax.jit(jax.vmap(partial(standing_offer, learner, WEIGHTS)))(states)
    action, implementable = map(np.asarray, (found.recommendation, found.contract.implementable))
    dear = 0
    for place in np.ndindex(COUNT, 2):
        least = least_joint_payment(np.moveaxis(q, 1, 2)[place], probs[place], action[place])
        assert implementable[place] == (least is not None and least < 1e4)
        dear += least is not None and least >= 1e4
    assert dear > 0


@pytest.mark.slow
@pytest.mark.parametrize("num_agents", [2, 3, 5])
def test_of_thousands_of_offers_each_implements_its_action_or_is_refused(num_agents, pytestconfig):
    share = refused_share(num_agents, MANY)
    told(pytestconfig).append(
        f"{MANY} states, {num_agents} agents with hidden actions: {share:.1%} of the offers are "
        "refused, all others implement their actions whoever follows"
    )


def test_follow_sets_show_each_agent_all_that_the_others_may_do_once():
    for num_agents in range(1, 10):
        sets = follow_sets(num_agents)
        for agent in range(num_agents):
            others = np.delete(sets, agent, axis=1)
            assert len(np.unique(others, axis=0)) == len(sets) == 2 ** (num_agents - 1)


@pytest.mark.parametrize("num_agents", [10, 20, 300])
def test_of_many_agents_follow_sets_are_drawn_and_always_the_same(num_agents):
    sets = follow_sets(num_agents)
    assert len(sets) == max(256, 2 * num_agents + 1)
    assert len(np.unique(sets, axis=0)) == len(sets)
    np.testing.assert_array_equal(sets, follow_sets(num_agents))
    assert sets[-1].all()
    assert (sets.sum(axis=1) == 0).any()
    alone = sets[sets.sum(axis=1) == 1]
    assert alone.any(axis=0).all()
    # Others of every size.
    assert len(np.unique(sets.sum(axis=1))) > min(num_agents, 50) / 2


def test_an_offer_to_many_agents_holds_under_all_sets_that_are_looked_at():
    """Each wants its action the less, the fewer others follow: the price is that of nobody."""
    num_agents = 12
    learner, probs = stub_learner(num_agents), np.eye(ACTIONS, OUTCOMES, dtype=np.float32)

    def q_values(params, observation, bits, probs):
        gap = 1.0 - jnp.mean(bits, axis=-1)
        return jnp.stack([-gap, *[jnp.zeros_like(gap)] * (ACTIONS - 1)], axis=-1)

    learner = learner._replace(agent=types.SimpleNamespace(q_values=q_values))  # type: ignore[arg-type]
    outputs = jnp.zeros((num_agents, ACTIONS)).at[:, 0].set(1.0)
    state = (None, jnp.broadcast_to(probs, (num_agents, *probs.shape)), outputs)
    offered = standing_offer(learner, WEIGHTS, state)
    assert not offered.recommendation.any()
    np.testing.assert_allclose(offered.contract.expected_payment, 1 + NUDGE, rtol=1e-5)
