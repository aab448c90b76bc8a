"""Schemes beside the paper's: conditional contracts, exchanged rewards, fines, externalities."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import untrained
from untrained import CONFIG, noise

from jaxparl.config import Config
from jaxparl.envs import make
from jaxparl.evaluation.audit import audit
from jaxparl.evaluation.offers import in_every_state
from jaxparl.learning.learner import make_learner
from jaxparl.learning.problem import Problem
from jaxparl.learning.state import target_weights
from jaxparl.training import make_validate
from jaxparl.types import Transition
from jaxparl.validation import dqn, frozen, metrics, schemes
from jaxparl.validation import terms as facing
from jaxparl.validation.black_boxes import received
from jaxparl.validation.compared import compared_terms
from jaxparl.validation.schemes import MECHANISMS, Scheme

NAMES = ("principal", *MECHANISMS)
COOPERATE, DEFECT = 0, 1


@pytest.fixture(scope="module")
def dilemma():
    """A prisoner's dilemma under every scheme: its learner, and terms by name."""
    env, env_params = make("matrix_game", payoffs="prisoners_dilemma")
    config = dataclasses.replace(CONFIG, schemes=NAMES)
    learner = make_learner(Problem(config, env, env_params, config.hyper_params))
    weights = target_weights(noise(learner, jax.random.key(0)))
    found = jax.jit(partial(compared_terms, learner))(weights)
    by_scheme = [jax.tree.map(lambda leaf, k=k: leaf[k], found) for k in range(len(NAMES))]
    return learner, dict(zip(NAMES, by_scheme, strict=True))


def always(action):
    return lambda env_state, recommendation: jnp.full_like(recommendation, action)


def evaluate(learner, terms, policy):
    return metrics.evaluate(learner, terms, policy, agent_loss=jnp.zeros(()))


@pytest.mark.parametrize("name", MECHANISMS)
def test_cooperation_is_a_best_response_and_brings_the_most(dilemma, name):
    learner, terms = dilemma[0], dilemma[1][name]
    found = evaluate(learner, terms, always(COOPERATE))
    assert found.welfare == pytest.approx(float(found.optimal_welfare), rel=1e-4)
    if name == "exchange":  # nothing is recommended
        assert np.isnan(found.followed_share)
        return
    assert found.followed_share == pytest.approx(1)
    assert found.best_response_over_following == pytest.approx(1, abs=1e-4)
    assert found.own_over_recommended_following == pytest.approx(1, abs=1e-5)


def test_what_is_paid_is_what_each_mechanism_pays_by_hand(dilemma):
    learner, terms = dilemma
    share = {
        (name, action): float(evaluate(learner, terms[name], always(action)).payment_share)
        for name in MECHANISMS
        for action in (COOPERATE, DEFECT)
    }
    # 2 of 5 of all rewards change hands, whatever is done.
    assert share["exchange", COOPERATE] == pytest.approx(0.4, rel=1e-4)
    assert share["exchange", DEFECT] == pytest.approx(0.4, rel=1e-4)
    # Nobody is fined, or both are, and get as much of the other's fine.
    assert share["fine", COOPERATE] == share["fine", DEFECT] == 0
    # Cooperation brings the other 3, and is paid 3.
    assert share["pigovian", COOPERATE] == pytest.approx(1, rel=1e-4)
    assert share["pigovian", DEFECT] == pytest.approx(0, abs=1e-6)


def test_whoever_defects_alone_is_fined_and_the_other_gets_it(dilemma):
    learner, terms = dilemma[0], dilemma[1]["fine"]
    fine = float(terms.scheme.fine)
    assert fine == pytest.approx(2 + CONFIG.hyper_params.nudge, rel=1e-5)
    asked = jnp.zeros(2, int)
    found = facing.fines(terms.scheme, asked, jnp.array([DEFECT, COOPERATE]))
    np.testing.assert_allclose(found, [fine, -fine])
    nobody = facing.fines(terms.scheme, jnp.full(2, facing.NO_ACTION), jnp.array([1, 1]))
    assert not nobody.any()
    # One agent's own policy is to defect: it gains nothing by it, of 3 a step.
    value = evaluate(learner, terms, always(DEFECT))
    alone = float(value.own_over_recommended_following)
    assert alone == pytest.approx((5 - fine) / 3, rel=1e-4) and alone < 1


def test_what_agents_receive_is_what_the_scheme_says(dilemma):
    learner, terms = dilemma[0], dilemma[1]["fine"]
    scheme = dataclasses.replace(
        terms.scheme, own_share=0.75, proportion=0.25, introduction=0.5, nudge=0.0
    )
    terms = dataclasses.replace(terms, scheme=scheme)
    boxes = dqn.make_black_boxes(learner.problem.config, learner.problem.env, terms)
    action = jnp.array([[COOPERATE, DEFECT]])
    blank = jnp.zeros((1, 2))
    transition = Transition(
        env_state=(),
        action=action,
        outcome=action,
        follows=action == COOPERATE,
        deviated=blank,
        agent_reward=jnp.array([[0.0, 5.0]]),
        principal_reward=blank,
        next_env_state=(),
        continues=jnp.ones(1),
    )
    payments = jnp.zeros((1, 2, 2)).at[..., COOPERATE].set(0.125)
    offers = frozen.Offered(jnp.zeros((1, 2), int), payments, None)
    at = CONFIG.iterations // 4  # half of the introduction is left
    found = received(boxes, offers, transition, at)[0]
    fine = float(scheme.fine)
    np.testing.assert_allclose(found, [0.25 * 5 + 0.125 + 0.25 + fine, 0.75 * 5 - fine], rtol=1e-6)


def test_a_conditional_contract_pays_less_where_the_others_follow():
    learner, weights = untrained.LEARNER, untrained.weights()
    table = jax.jit(partial(frozen.freeze, learner, conditional=True))(weights)
    assert (table.together <= table.payment + 1e-6).all()
    assert (table.together < table.payment - 1e-3).any()
    everybody = jnp.ones(2, bool)
    offered = jax.jit(
        lambda: in_every_state(
            learner.problem.env, lambda state: learner.offer(weights, state, everybody)
        )
    )()
    scheme = Scheme(contract_weight=1.0, conditional=1.0)
    terms = facing.make_terms(learner, table, jax.tree.map(jnp.float32, scheme))

    def follow(env_state, recommendation):
        del env_state
        return recommendation

    found = jax.jit(lambda: evaluate(learner, terms, follow))()
    expected = audit(learner.problem, offered).values
    assert found.payment == pytest.approx(float(expected.payment), rel=1e-4)
    standing = facing.make_terms(learner, table, jax.tree.map(jnp.float32, Scheme(1.0)))
    assert found.payment < evaluate(learner, standing, follow).payment


def test_all_schemes_are_validated_side_by_side():
    env, env_params = make("matrix_game", payoffs="chicken")
    names = ("pigovian", "principal + nudge", "conditional", "fine", "exchange", "selfish")
    config = Config(
        iterations=200,
        evaluation_interval=100,
        hidden_sizes=(8,),
        critic="per_action",
        schemes=names,
    )
    learner = make_learner(Problem(config, env, env_params, config.hyper_params))
    weights = target_weights(noise(learner, jax.random.key(1)))
    found = jax.jit(partial(compared_terms, learner))(weights)
    assert len(found.scheme.nudge) == len(names)
    assert (found.scheme.fine > 0).tolist() == [name == "fine" for name in names]
    assert (found.scheme.conditional > 0).tolist() == [name == "conditional" for name in names]
    validate = jax.jit(make_validate(config, env, env_params))
    scheme = jax.tree.map(jnp.float32, Scheme(contract_weight=1.0, conditional=1.0))
    result = validate(jax.random.key(0), weights, config.hyper_params, scheme)
    assert np.isfinite(result.metrics.welfare).all()


@pytest.mark.parametrize(
    "game, name, complaint",
    [
        ("matrix_game", "bribe", "no scheme 'bribe', but principal, principal [+] nudge, constant"),
        ("machine", "fine", "no scheme 'fine', but principal, selfish$"),
        ("game_tree", "exchange", "no scheme 'exchange', but principal, selfish$"),
    ],
)
def test_a_scheme_that_a_game_does_not_have_is_refused(game, name, complaint):
    env, _ = make(game)
    with pytest.raises(ValueError, match=complaint):
        schemes.scheme_names(env, [name])
