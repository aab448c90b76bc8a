"""The networks: a table look-up is the first layer on a one-hot vector."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.signal
from gymnax.environments import spaces

from jaxparl.evaluation.checks.small_programs import quick_to_compile
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


def random_weights(made, *given):
    """Weights of a network, which need not be initialised by a program of their own."""
    rng = np.random.default_rng(1)
    shapes = jax.eval_shape(made.init, jax.random.key(0), *given)
    return jax.tree.map(lambda leaf: np.float32(rng.normal(0, 0.1, leaf.shape)), shapes)


def board_of(planes, *, wraps_around):
    """The convolution's pre-activations on planes `[B, H, W, 3]`, its kernel and its bias."""
    space = spaces.Box(0, 1, planes.shape[1:])
    board = make_network(space, HIDDEN, OUTPUTS, wraps_around=wraps_around)
    params = random_weights(board, planes)
    _, seen = jax.jit(functools.partial(board.apply, capture_intermediates=True))(params, planes)
    layer = params["params"]["Dense_0"]
    kernel = layer["kernel"].reshape(4, 4, 3, -1)
    return seen["intermediates"]["Dense_0"]["__call__"][0], kernel, layer["bias"]


def random_planes(height, width):
    return np.float32(np.random.default_rng(2).normal(size=(2, height, width, 3)))


@pytest.mark.parametrize(("height", "width"), [(5, 6), (2, 3)])
def test_the_first_layer_on_a_torus_is_a_convolution_that_wraps_around(height, width):
    planes = random_planes(height, width)
    found, kernel, bias = board_of(planes, wraps_around=True)
    expected = np.tile(bias, (2, height, width, 1))
    for row, column, down, right in np.ndindex(height, width, 4, 4):
        field = planes[:, (row + down) % height, (column + right) % width]
        expected[:, row, column] += field @ kernel[down, right]
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize(("height", "width"), [(5, 6), (2, 3), (1, 1)])
def test_behind_walls_there_is_nothing(height, width):
    planes = random_planes(height, width)
    found, kernel, bias = board_of(planes, wraps_around=False)
    # scipy's kernel is turned around, and it knows no channels: one plane and filter at a time.
    expected = np.tile(bias, (2, height, width, 1)).astype(np.float64)
    for batch, plane, unit in np.ndindex(2, 3, kernel.shape[-1]):
        turned = kernel[::-1, ::-1, plane, unit]
        whole = scipy.signal.convolve2d(planes[batch, :, :, plane], turned, mode="full")
        expected[batch, :, :, unit] += whole[2 : 2 + height, 2 : 2 + width]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_walls_are_felt_at_the_edges_only():
    planes = random_planes(6, 7)
    walls, *_ = board_of(planes, wraps_around=False)
    torus, *_ = board_of(planes, wraps_around=True)
    # A kernel begins one field before its own where there are walls, and else with its own.
    moved = np.roll(torus, (1, 1), axis=(1, 2))
    is_same = np.isclose(walls, moved, atol=1e-5).all(axis=(0, 3))
    inside = np.zeros((6, 7), bool)
    inside[1:-2, 1:-2] = True
    np.testing.assert_array_equal(is_same, inside)


def test_a_wall_by_hand():
    """One row of three fields, a kernel of ones: each field sees one before it, and two after."""
    space = spaces.Box(0, 1, (1, 3, 1))
    planes = jnp.array([1.0, 10.0, 100.0]).reshape(1, 3, 1)

    def seen(wraps_around):
        board = make_network(space, (4,), 1, wraps_around=wraps_around)
        params = jax.tree.map(jnp.ones_like, board.init(jax.random.key(0), planes))
        _, found = board.apply(params, planes, capture_intermediates=True)
        return found["intermediates"]["Dense_0"]["__call__"][0][0, :, 0] - 1  # the bias

    np.testing.assert_allclose(seen(False), [111, 111, 110])
    # On a torus of one row and three columns, the kernel goes around: rows four times, 1 + 3 more.
    np.testing.assert_allclose(seen(True), [4 * 112, 4 * 121, 4 * 211])


VECTOR = spaces.Box(-1, 1, (3,))
SPACES = {
    "scalar": spaces.Box(0, 1, ()),
    "vector": VECTOR,
    "matrix": spaces.Box(0, 1, (3, 3)),
    "integers": spaces.Box(0, 9, (3,), jnp.int32),
    "bits": spaces.Box(0, 1, (3,), jnp.bool_),
    "board": spaces.Box(0, 1, (2, 3, 4)),
    "board of bytes": spaces.Box(0, 9, (2, 3, 4), jnp.uint8),
    "several boards": spaces.Box(0, 1, (2, 2, 3, 4)),
    "table": spaces.Discrete(STATES),
    "parts": spaces.Dict({"where": spaces.Discrete(STATES), "what": VECTOR}),
    "parts of parts": spaces.Tuple([VECTOR, spaces.Dict({"view": spaces.Box(0, 1, (2, 3, 1))})]),
}


def observations(space, axes):
    """Random observations `[*axes, ...]`."""
    if isinstance(space, spaces.Dict):
        return {name: observations(part, axes) for name, part in space.spaces.items()}
    if isinstance(space, spaces.Tuple):
        return tuple(observations(part, axes) for part in space.spaces)
    shape = (*axes, *space.shape)
    if space.dtype == jnp.float32:
        return jax.random.normal(jax.random.key(3), shape)
    most = STATES if isinstance(space, spaces.Discrete) else int(space.high) + 1
    return jax.random.randint(jax.random.key(3), shape, 0, most).astype(space.dtype)


@pytest.mark.parametrize("name", SPACES)
def test_every_kind_of_observation_has_a_network(name):
    made = make_network(SPACES[name], HIDDEN, OUTPUTS)
    observation, bits = observations(SPACES[name], (4, 2)), jnp.ones((4, 2, 3))

    def loss(params):
        outputs = made.apply(params, observation, bits)
        return jnp.sum(outputs**2), outputs

    gradient_of = jax.jit(jax.grad(loss, has_aux=True), compiler_options=quick_to_compile())
    gradient, outputs = gradient_of(random_weights(made, observation, bits))
    assert outputs.shape == (4, 2, OUTPUTS)
    assert outputs.dtype == jnp.float32
    # Every weight is used: those of each part of an observation, and those of the bits.
    assert all(np.abs(leaf).max() > 0 for leaf in jax.tree.leaves(gradient))
    assert len(np.unique(np.asarray(outputs)[..., 0])) > 1


def test_integers_and_bits_are_the_same_numbers():
    made = make_network(VECTOR, HIDDEN, OUTPUTS)
    params = random_weights(made, jnp.zeros(3))
    found = [made.apply(params, jnp.array([0, 1, 1], kind)) for kind in (float, jnp.int8, bool)]
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


@pytest.mark.parametrize(
    "space", [spaces.Space(), spaces.Dict({}), spaces.Tuple([spaces.Discrete(2), spaces.Space()])]
)
def test_an_observation_without_a_network_is_told_what_to_write(space):
    with pytest.raises(ValueError, match=r"method make_network, .* Components\(make_network=...\)"):
        make_network(space, HIDDEN, OUTPUTS)
