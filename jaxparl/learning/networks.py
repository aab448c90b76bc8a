"""The networks. Their first layer depends on the observation space.

All have hidden layers with ReLU (section 5 of the paper). In the paper a discrete observation is a
one-hot vector. The product of such a vector with the first layer's weights is one of their rows,
so here the first layer is a table look-up. A board, planes `[H, W, C]`, passes through one
convolution: it wraps around at the edges, as games on a torus do, or it ends at walls. Any other
array is a vector of numbers. Of an observation of several parts, each has a first layer of its own.

Besides an observation, a network may be given *bits* `[..., F]`: an agent's Q-values depend on
which of the others follow the principal (section 5.2 of the paper), and on who it is. Bits enter
after the layers that see the observation, so evaluations that differ only in their bits share
those layers.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from gymnax.environments import spaces

from jaxparl.types import PyTree

# Values start near 0, so that the first targets are rewards and not noise.
_OUTPUT_SCALE = 0.01
# The convolution of the paper's Coin Game.
_KERNEL_SIZE, _CHANNELS = 4, 32
# The axes of a board: height, width, planes.
_BOARD_RANK = 3


@jax.custom_vjp
def _product(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """`x [..., I]` times `kernel [I, J]`, with a gradient that is quick to compute.

    JAX computes the kernel's gradient as (g^T x)^T. XLA removes the outer transpose by computing
    x^T g instead, which takes 1.5 times as long on a CPU. An optimization barrier prevents this.
    """
    return x @ kernel


def _product_forward(x: jax.Array, kernel: jax.Array) -> tuple[jax.Array, tuple[Any, ...]]:
    return x @ kernel, (x, kernel)


def _product_backward(saved: tuple[Any, ...], g: jax.Array) -> tuple[jax.Array, jax.Array]:
    x, kernel = saved
    rows, of_rows = (array.reshape(-1, array.shape[-1]) for array in (x, g))
    # XLA-01, see docs/xla.md.
    return g @ kernel.T, jax.lax.optimization_barrier(of_rows.T @ rows).T


_product.defvjp(_product_forward, _product_backward)


def _flax_product(x: jax.Array, kernel: jax.Array, *_: Any, **__: Any) -> jax.Array:
    return _product(x, kernel)


_Dense = functools.partial(nn.Dense, dot_general=_flax_product)


class Network(nn.Module):
    """A first layer by the observation space, then a multi-layer perceptron; see `make_network`.

    Attributes:
      space: of the observations.
      hidden_sizes: widths of the hidden layers. Of a board, those above the convolution.
      num_outputs: width X of the output.
      wraps_around: whether boards have no edges; else there is a wall around them.
    """

    space: spaces.Space
    hidden_sizes: tuple[int, ...]
    num_outputs: int
    wraps_around: bool = False

    @nn.compact
    def __call__(self, observation: PyTree, bits: jax.Array | None = None) -> jax.Array:
        """Maps observations `[...]`, each of the space's shape, and bits `[..., F]` to `[..., X]`.

        Observations of a `Dict` are dictionaries of arrays, those of a `Tuple` sequences.
        """
        first, *rest = self.hidden_sizes
        x = self._first_layer(self.space, observation, first)
        if bits is not None and bits.shape[-1] > 0:
            x = x + _Dense(first, use_bias=False, name="bits")(bits)
        x = nn.relu(x)
        for size in rest:
            x = nn.relu(_Dense(size, kernel_init=nn.initializers.he_normal())(x))
        output = _Dense(self.num_outputs, kernel_init=nn.initializers.normal(_OUTPUT_SCALE))
        return output(x)

    def _first_layer(self, space: spaces.Space, observation: PyTree, width: int) -> jax.Array:
        """The first layer's pre-activations, `[..., width]`."""
        if isinstance(space, spaces.Dict | spaces.Tuple):
            each = [
                self._first_layer(part, observation[name], width) for name, part in _parts(space)
            ]
            return functools.reduce(jnp.add, each)
        if isinstance(space, spaces.Discrete):
            # LeCun's scale for a dense layer on the one-hot vector, whose fan-in is S. Rows of
            # scale 1 learn half as fast, because the same step changes a smaller share of a row.
            rows = nn.initializers.normal(1.0 / math.sqrt(space.n))
            return nn.Embed(space.n, width, embedding_init=rows)(observation)
        assert isinstance(space, spaces.Box)
        rank, x = len(space.shape), jnp.asarray(observation, float)
        if rank == _BOARD_RANK:
            patches = _patches(x, wraps_around=self.wraps_around)
            x = nn.relu(_Dense(_CHANNELS, kernel_init=nn.initializers.he_normal())(patches))
        flat = x.reshape(*x.shape[: x.ndim - rank], -1)
        return _Dense(width, kernel_init=nn.initializers.he_normal())(flat)


def _patches(planes: jax.Array, *, wraps_around: bool) -> jax.Array:
    """What the kernel covers at each field of planes `[..., H, W, C]`: `[..., H, W, K * K * C]`.

    A product of patches and a matrix is a convolution. Inside a scan on a CPU it is several times
    faster than XLA's.
    """
    # XLA-02, see docs/xla.md.
    patches = planes  # of each field: first itself, then its row, then all rows
    for axis in (-2, -3):
        if wraps_around:
            shifted = [jnp.roll(patches, -by, axis) for by in range(_KERNEL_SIZE)]
        else:
            size, before = patches.shape[axis], (_KERNEL_SIZE - 1) // 2
            walls = [(0, 0)] * patches.ndim
            walls[axis] = (before, _KERNEL_SIZE - 1 - before)
            padded = jnp.pad(patches, walls)
            shifted = [
                jax.lax.slice_in_dim(padded, by, by + size, axis=axis) for by in range(_KERNEL_SIZE)
            ]
        patches = jnp.concatenate(shifted, axis=-1)
    return patches


def _parts(space: spaces.Dict | spaces.Tuple) -> list[tuple[Any, spaces.Space]]:
    """The parts of an observation, by name or by number."""
    is_named = isinstance(space, spaces.Dict)
    return list(space.spaces.items() if is_named else enumerate(space.spaces))


def _check_known(space: spaces.Space) -> None:
    """Checks that there is a network for a space.

    Raises:
      ValueError: there is none.
    """
    if isinstance(space, spaces.Dict | spaces.Tuple) and space.num_spaces > 0:
        for _, part in _parts(space):
            _check_known(part)
    elif not isinstance(space, spaces.Discrete | spaces.Box):
        raise ValueError(
            f"there is no network for observations in {space!r}; the environment can bring one by "
            "its method make_network, or hand one in by Components(make_network=...)"
        )


def make_network(
    observation_space: spaces.Space,
    hidden_sizes: tuple[int, ...],
    num_outputs: int,
    wraps_around: bool = False,
) -> nn.Module:
    """Makes the network `(params, observation, bits) -> [..., X]` for an observation space.

    Numbers of a `Box` may be integers or bits, and enter as they are: where they are large, an
    environment should scale them.

    Args:
      observation_space: of gymnax: `Discrete`, a table; a `Box`, a board if it has three axes
        `[H, W, C]`, otherwise a vector; or a `Dict` or `Tuple` of these.
      hidden_sizes: widths of the hidden layers.
      num_outputs: width X of the output.
      wraps_around: whether boards have no edges, as on a torus; else there is a wall around them.

    Raises:
      ValueError: there is no network for such observations.

    Examples:
      >>> sizes = jax.eval_shape(
      ...     make_network(spaces.Discrete(7), hidden_sizes=(32,), num_outputs=2).init,
      ...     jax.random.key(0),
      ...     jnp.int32(0),
      ... )
      >>> sizes["params"]["Embed_0"]["embedding"].shape
      (7, 32)
      >>> vector = make_network(spaces.Box(-1, 1, (3,)), hidden_sizes=(32,), num_outputs=2)
      >>> weights = vector.init(jax.random.key(0), jnp.zeros(3), jnp.zeros(4))
      >>> jax.tree.map(jnp.shape, weights["params"]["bits"])
      {'kernel': (4, 32)}
    """
    _check_known(observation_space)
    return Network(observation_space, hidden_sizes, num_outputs, wraps_around)
