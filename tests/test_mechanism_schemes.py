"""Schemes beside the paper's: conditional contracts, exchanged rewards, fines, taxes."""

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
from jaxparl.learning.replay import Batch
from jaxparl.learning.state import target_weights
from jaxparl.training import make_validate
from jaxparl.types import Transition
from jaxparl.validation import dqn, frozen, metrics, schemes
from jaxparl.validation import terms as facing
from jaxparl.validation.black_boxes import introduction, received
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
    # Of the 3 that cooperation brings it a step, whoever defects alone loses the nudge; and by a
    # tax also what both together lose, 1 of 6.
    loss = CONFIG.hyper_params.nudge + (1 if name == "pigovian" else 0)
    defects = evaluate(learner, terms, always(DEFECT)).own_over_recommended_following
    assert defects == pytest.approx(1 - loss / 3, rel=1e-4)


def test_by_exchange_whoever_defects_loses_just_the_nudge(dilemma):
    """Of 3 each: defecting brings 5 instead of one's own 3, and the other 0."""
    scheme = dilemma[1]["exchange"].scheme
    own, share = float(scheme.own_share), float(scheme.proportion)
    assert own + share == pytest.approx(1)
    assert (own * 3 + share * 3) - own * 5 == pytest.approx(CONFIG.hyper_params.nudge, rel=1e-3)


def test_under_a_tax_cooperation_is_a_best_response_whatever_comes_later():
    env, env_params = make("commons")
    config = dataclasses.replace(CONFIG, schemes=("pigovian", "principal"))
    learner = make_learner(Problem(config, env, env_params, config.hyper_params))
    weights = target_weights(noise(learner, jax.random.key(0)))
    terms = jax.jit(partial(compared_terms, learner))(weights)
    ratio = np.asarray(terms.reference.best_response_over_following)
    # In an episode that ends, cooperation that takes no end into account is all but the best.
    assert ratio[0] == pytest.approx(1, abs=5e-3)
    assert ratio[1] > 1.05


def test_what_is_paid_is_what_each_mechanism_pays_by_hand(dilemma):
    learner, terms = dilemma
    share = {
        (name, action): float(evaluate(learner, terms[name], always(action)).payment_share)
        for name in MECHANISMS
        for action in (COOPERATE, DEFECT)
    }
    # What agents give each other is not paid from outside.
    assert share["exchange", COOPERATE] == pytest.approx(0, abs=1e-5)
    assert share["exchange", DEFECT] == pytest.approx(0, abs=1e-5)
    # Nobody is fined, or both are, and get as much of the other's fine.
    assert share["fine", COOPERATE] == share["fine", DEFECT] == 0
    # Defecting costs the other 3, and a tax of that and the nudge, where it brings 1.
    assert share["pigovian", COOPERATE] == 0
    assert share["pigovian", DEFECT] == pytest.approx(-3 - CONFIG.hyper_params.nudge, rel=1e-4)


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
    fine = float(scheme.fine)
    found = received(boxes, offers, transition)[0]
    np.testing.assert_allclose(found, [0.25 * 5 + 0.125 + fine, 0.75 * 5 - fine], rtol=1e-6)
    at = CONFIG.iterations // 4  # half of it is left
    np.testing.assert_allclose(introduction(boxes, transition.follows, at), [[0.25, 0]])


def test_what_is_learned_from_old_steps_is_todays_introduction():
    scheme = untrained.terms(Scheme(contract_weight=1.0, introduction=0.5))
    config = dataclasses.replace(CONFIG, iterations=80)
    task = untrained.validation_of(config)
    state, _ = task.learn(scheme, task.init(scheme, jax.random.key(0)), 0)
    boxes = dqn.make_black_boxes(config, untrained.LEARNER.problem.env, scheme)
    size = config.batch_size
    stored = jax.tree.map(lambda leaf: leaf[:size], state.replay.ring)
    batch = Batch(stored, jnp.arange(size), jnp.ones(size))

    def loss(iteration, added=0.0):
        shifted = batch.transition.agent_reward + added * batch.transition.follows
        given = batch._replace(
            transition=dataclasses.replace(batch.transition, agent_reward=shifted)
        )
        return jax.jit(partial(dqn.learn, boxes))(state.agent, given, iteration)[1]

    assert batch.transition.follows.any()
    assert loss(20) == pytest.approx(float(loss(60, added=0.25)), rel=1e-5)
    assert abs(loss(20) - loss(60)) > 1e-4


@pytest.mark.slow
def test_the_constant_share_is_the_same_whatever_it_is_compared_with():
    learner, weights = untrained.LEARNER, untrained.weights()

    def share(*names):
        config = dataclasses.replace(CONFIG, schemes=names)
        problem = learner.problem._replace(config=config)
        found = jax.jit(partial(compared_terms, make_learner(problem)))(weights)
        return found.scheme.proportion[names.index("constant")]

    assert share("constant") == pytest.approx(float(share("conditional", "constant")), rel=1e-6)


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
