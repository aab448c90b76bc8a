"""The networks. Which of them is used depends on the observation space.

All have hidden layers with ReLU (section 5 of the paper). In the paper a discrete observation is a
one-hot vector. The product of such a vector with the first layer's weights is one of their rows,
so here the first layer is a table look-up. A board, planes `[H, W, C]`, passes through one
convolution that wraps around at the edges, as games on a torus do.

Besides an observation, a network may be given *bits* `[..., F]`: an agent's Q-values depend on
which of the others follow the principal (section 5.2 of the paper). Bits enter after the layers
that see the observation, so evaluations that differ only in their bits share those layers.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from gymnax.environments import spaces

# Values start near 0, so that the first targets are rewards and not noise.
_OUTPUT_SCALE = 0.01
# The convolution of the paper's Coin Game.
_KERNEL_SIZE, _CHANNELS = 4, 32


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


class TableNetwork(nn.Module):
    """A multi-layer perceptron on a one-hot observation.

    Attributes:
      num_states: how many values the observation takes.
      hidden_sizes: widths of the hidden layers.
      num_outputs: width X of the output.
    """

    num_states: int
    hidden_sizes: tuple[int, ...]
    num_outputs: int

    @nn.compact
    def __call__(self, observation: jax.Array, bits: jax.Array | None = None) -> jax.Array:
        """Maps indices `[...]` and bits `[..., F]` to outputs `[..., X]`."""
        first, *rest = self.hidden_sizes
        # LeCun's scale for a dense layer on the one-hot vector, whose fan-in is S. Rows of scale 1
        # learn half as fast, because the same step changes a smaller share of a row.
        rows = nn.initializers.normal(1.0 / math.sqrt(self.num_states))
        x = nn.Embed(self.num_states, first, embedding_init=rows)(observation)
        return _layers_above(x, bits, rest, self.num_outputs)


class BoardNetwork(nn.Module):
    """A convolution that wraps around, then a multi-layer perceptron.

    The convolution is written as a product of patches and a matrix. Inside a scan on a CPU this is
    several times faster than XLA's convolution.

    Attributes:
      hidden_sizes: widths of the hidden layers above the convolution.
      num_outputs: width X of the output.
    """

    hidden_sizes: tuple[int, ...]
    num_outputs: int

    @nn.compact
    def __call__(self, observation: jax.Array, bits: jax.Array | None = None) -> jax.Array:
        """Maps planes `[..., H, W, C]` and bits `[..., F]` to outputs `[..., X]`."""
        # XLA-02, see docs/xla.md.
        patches = observation  # of each field: first itself, then its row, then all rows
        for axis in (-2, -3):
            shifted = [jnp.roll(patches, -by, axis) for by in range(_KERNEL_SIZE)]
            patches = jnp.concatenate(shifted, axis=-1)
        x = nn.relu(_Dense(_CHANNELS, kernel_init=nn.initializers.he_normal())(patches))
        first, *rest = self.hidden_sizes
        flat = x.reshape(*x.shape[:-3], -1)
        x = _Dense(first, kernel_init=nn.initializers.he_normal())(flat)
        return _layers_above(x, bits, rest, self.num_outputs)


def _layers_above(
    x: jax.Array, bits: jax.Array | None, sizes: list[int], num_outputs: int
) -> jax.Array:
    """The layers above the first one's pre-activations `[..., X]`, in both networks."""
    if bits is not None and bits.shape[-1] > 0:
        x = x + _Dense(x.shape[-1], use_bias=False, name="bits")(bits)
    x = nn.relu(x)
    for size in sizes:
        x = nn.relu(_Dense(size, kernel_init=nn.initializers.he_normal())(x))
    return _Dense(num_outputs, kernel_init=nn.initializers.normal(_OUTPUT_SCALE))(x)


def make_network(
    observation_space: spaces.Space, hidden_sizes: tuple[int, ...], num_outputs: int
) -> nn.Module:
    """Makes the network `(params, observation, bits) -> [..., X]` for an observation space.

    Args:
      observation_space: of gymnax, `Discrete` or a `Box` of planes `[H, W, C]`.
      hidden_sizes: widths of the hidden layers.
      num_outputs: width X of the output.

    Raises:
      TypeError: there is no network for such observations.

    Examples:
      >>> make_network(spaces.Discrete(7), hidden_sizes=(32,), num_outputs=2).num_states
      7
      >>> type(make_network(spaces.Box(0, 1, (3, 3, 4)), (32,), num_outputs=2)).__name__
      'BoardNetwork'
    """
    if isinstance(observation_space, spaces.Discrete):
        return TableNetwork(observation_space.n, hidden_sizes, num_outputs)
    if isinstance(observation_space, spaces.Box) and len(observation_space.shape or ()) == 3:
        return BoardNetwork(hidden_sizes, num_outputs)
    raise TypeError(f"no network for observations in {observation_space!r}; add one here")
