"""The networks: a table look-up is the first layer on a one-hot vector."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnax.environments import spaces

from jaxparl.learning.networks import make_network

STATES, HIDDEN, OUTPUTS = 7, (5, 6), 3
network = make_network(spaces.Discrete(STATES), HIDDEN, OUTPUTS)
init, apply = jax.jit(network.init), jax.jit(network.apply)


@pytest.fixture(scope="module")
def params():
    return init(jax.random.key(0), jnp.arange(STATES))


class DenseOnOneHot(nn.Module):
    """The paper's network: the state as a one-hot vector, the first layer without a bias."""

    @nn.compact
    def __call__(self, observation):
        x = jax.nn.one_hot(observation, STATES)
        x = nn.relu(nn.Dense(HIDDEN[0], use_bias=False, name="first")(x))
        for size in HIDDEN[1:]:
            x = nn.relu(nn.Dense(size)(x))
        return nn.Dense(OUTPUTS)(x)


def test_a_table_look_up_is_a_dense_layer_on_the_one_hot_vector(params):
    weights = dict(params["params"])
    table = weights.pop("Embed_0")["embedding"]
    assert table.shape == (STATES, HIDDEN[0])
    dense = {"params": {"first": {"kernel": table}, **weights}}
    states = jnp.arange(STATES)
    outputs = apply(params, states)
    expected = jax.jit(DenseOnOneHot().apply)(dense, states)
    np.testing.assert_allclose(outputs, expected, rtol=1e-5)
    assert len(np.unique(outputs[:, 0])) == STATES


def test_its_gradients_are_those_of_plain_products(params):
    weights = dict(params["params"])
    table = weights.pop("Embed_0")["embedding"]
    states = jax.random.randint(jax.random.key(1), (4, 2), 0, STATES)

    def loss(apply, weights):
        return jnp.sum(jnp.sin(apply({"params": weights}, states)))

    gradient = jax.jit(jax.grad(loss, argnums=1), static_argnums=0)
    found = dict(gradient(network.apply, params["params"]))
    dense = {"first": {"kernel": table}, **weights}
    expected = dict(gradient(DenseOnOneHot().apply, dense))
    found["first"] = {"kernel": found.pop("Embed_0")["embedding"]}
    jax.tree.map(
        lambda one, other: np.testing.assert_allclose(one, other, 1e-4, 1e-6), found, expected
    )
    assert np.abs(found["Dense_0"]["kernel"]).max() > 1e-3


@pytest.mark.parametrize("axes", [(), (1,), (4, 1), (2, 3, 1)])
def test_leading_axes_of_the_observation_are_kept(params, axes):
    observation = jax.random.randint(jax.random.key(1), axes, 0, STATES)
    outputs = np.asarray(apply(params, observation))
    assert outputs.shape == (*axes, OUTPUTS)
    one_by_one = [apply(params, state) for state in observation.flatten()]
    np.testing.assert_allclose(outputs.reshape(-1, OUTPUTS), one_by_one, rtol=1e-5)


def test_a_single_hidden_layer_is_the_table_alone():
    shallow = make_network(spaces.Discrete(STATES), (5,), OUTPUTS)
    params = jax.eval_shape(shallow.init, jax.random.key(0), jnp.zeros(1, jnp.int32))["params"]
    assert set(params) == {"Embed_0", "Dense_0"}


def test_values_start_near_zero_and_differ_between_seeds():
    states = jnp.arange(STATES)
    outputs = [apply(init(jax.random.key(seed), states), states) for seed in range(2)]
    assert np.abs(outputs).max() < 0.1
    assert not np.allclose(*outputs, rtol=0.01)


@pytest.mark.parametrize(("height", "width"), [(5, 6), (2, 3)])
def test_the_first_layer_on_a_board_is_a_convolution_that_wraps_around(height, width):
    board = make_network(spaces.Box(0, 1, (height, width, 3)), HIDDEN, OUTPUTS, wraps_around=True)
    rng = np.random.default_rng(1)
    planes = np.float32(rng.normal(size=(2, height, width, 3)))
    shapes = jax.eval_shape(board.init, jax.random.key(0), planes)
    params = jax.tree.map(lambda leaf: np.float32(rng.normal(0, 0.1, leaf.shape)), shapes)
    _, seen = jax.jit(functools.partial(board.apply, capture_intermediates=True))(params, planes)
    found = seen["intermediates"]["Dense_0"]["__call__"][0]
    layer = params["params"]["Dense_0"]
    kernel = layer["kernel"].reshape(4, 4, 3, -1)
    expected = np.tile(layer["bias"], (2, height, width, 1))
    for row, column, down, right in np.ndindex(height, width, 4, 4):
        field = planes[:, (row + down) % height, (column + right) % width]
        expected[:, row, column] += field @ kernel[down, right]
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("space", [spaces.Box(0, 1, (3, 3)), spaces.Dict({})])
def test_an_observation_without_a_network_is_a_type_error_that_names_it(space):
    with pytest.raises(TypeError, match=type(space).__name__):
        make_network(space, HIDDEN, OUTPUTS)
