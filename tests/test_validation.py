"""Runs of validation as a whole: independence, schemes side by side, segments."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small import COIN_ENV, COIN_PARAMS
from untrained import CONFIG, terms, validation_of, weights

from jaxparl.envs import make
from jaxparl.training.single_run import make_validate
from jaxparl.validation.schemes import Scheme

SCHEMES = (
    Scheme(contract_weight=1.0, nudge=0.03),
    Scheme(),
    Scheme(proportion=1.0),
    Scheme(proportion=0.3),
)
PRINCIPAL, *BASELINES = range(len(SCHEMES))


def assert_same(one, other, tolerance: float = 0.0) -> None:
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


@pytest.fixture(scope="module")
def compiled_run():
    """The compiled program `(key, weights, hyper_params, schemes) -> results`."""
    validate = make_validate(CONFIG, COIN_ENV, COIN_PARAMS)
    return jax.jit(jax.vmap(validate, (None, None, None, 0)))  # over schemes


@pytest.fixture(scope="module")
def validate(compiled_run):
    """Validates under all schemes, `(seed, weights) -> one result for each scheme`."""

    def run(seed, weights):
        schemes = jax.tree.map(lambda *numbers: jnp.array(numbers), *SCHEMES)
        results = jax.device_get(
            compiled_run(jax.random.key(seed), weights, CONFIG.hyper_params, schemes)
        )
        return [
            jax.tree.map(lambda leaf, i=index: leaf[i], results) for index in range(len(SCHEMES))
        ]

    return run


def test_the_principal_stays_as_it_was_and_the_agents_learn(validate):
    given = weights(0)
    before = jax.tree.map(np.array, given)
    result = validate(0, given)[PRINCIPAL]
    assert_same(before, given)
    fresh = validation_of(CONFIG).init(terms(SCHEMES[PRINCIPAL]), jax.random.key(0)).agent.params
    for old, new in zip(jax.tree.leaves(fresh), jax.tree.leaves(result.params), strict=True):
        assert np.abs(old - new).max() > 1e-3
    assert result.metrics.welfare.shape == (2,)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(result))


def test_only_a_principal_that_is_in_force_matters(validate):
    one, other = validate(0, weights(0)), validate(0, weights(1))
    for scheme in BASELINES:
        assert_same(one[scheme], other[scheme])
    ours = [results[PRINCIPAL].metrics.payment for results in (one, other)]
    assert np.abs(ours[0] - ours[1]).max() > 0.01


def test_the_principal_of_another_game_is_refused():
    env, env_params = make("coin_game", grid_size=2, max_steps_in_episode=8)
    validate = make_validate(CONFIG, env, env_params)
    with pytest.raises(ValueError, match=r"not of this game, or has other networks.*agent"):
        validate(jax.random.key(0), weights(0), CONFIG.hyper_params, SCHEMES[PRINCIPAL])


def test_two_seeds_differ(validate):
    one, other = (validate(seed, weights(0))[PRINCIPAL].metrics for seed in (0, 1))
    assert np.abs(one.agent_loss - other.agent_loss).max() > 1e-4


def test_schemes_side_by_side_are_what_each_is_alone_segment_by_segment(validate):
    task = validation_of(CONFIG)
    for scheme, whole in zip(SCHEMES, validate(4, weights(0)), strict=True):
        faced = terms(scheme)
        state = task.init(faced, jax.random.key(4))
        for segment in range(2):
            state, loss = task.learn(faced, state, segment)
            metrics = task.evaluate(faced, state, loss)
            assert_same(jax.tree.map(lambda leaf, i=segment: leaf[i], whole.metrics), metrics, 1e-5)
        assert_same(whole.params, state.agent.target_params, 1e-5)


def test_a_second_call_with_other_schemes_compiles_nothing(compiled_run):
    for seed, shift in enumerate((0.0, 0.1)):
        schemes = jax.tree.map(lambda *numbers: jnp.array(numbers), *SCHEMES)
        schemes = dataclasses.replace(schemes, nudge=schemes.nudge + shift)
        compiled_run(jax.random.key(seed), weights(seed), CONFIG.hyper_params, schemes)
    assert compiled_run._cache_size() == 1
