"""The networks, chosen by what the players observe.

Hidden layers with ReLU (section 5 of the paper). A discrete observation is a one-hot vector
in the paper; the product of such a vector with the first layer's weights is one row of them,
so the first layer is a table look-up here. A board, planes `[H, W, C]`, goes through one
convolution that wraps around its edges, as games on a torus do.

Besides what is observed a network may be told *bits* `[..., F]`: an agent's Q-values depend on
which of the others follow the principal (section 5.2 of the paper). They enter after the layers
that see the observation, so that evaluations which differ in bits alone share those.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from gymnax.environments import spaces

# Values start near 0: where nothing was learned yet, the targets are rewards, not noise.
_OUTPUT_SCALE = 0.01
# The convolution of the paper's Coin Game.
_KERNEL_SIZE, _CHANNELS = 4, 32


@jax.custom_vjp
def _product(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """`x [..., I]` times `kernel [I, J]`, with a gradient that is quick to compute.

    JAX makes the kernel's gradient as (g^T x)^T, and XLA leaves out the turning by computing x^T g,
    which on a CPU takes half as long again. So it is turned behind a barrier, out of XLA's sight.
    """
    return x @ kernel


def _product_forward(x: jax.Array, kernel: jax.Array) -> tuple[jax.Array, tuple[Any, ...]]:
    return x @ kernel, (x, kernel)


def _product_backward(saved: tuple[Any, ...], g: jax.Array) -> tuple[jax.Array, jax.Array]:
    x, kernel = saved
    rows, of_rows = (array.reshape(-1, array.shape[-1]) for array in (x, g))
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
        # The scale of a dense layer on the one-hot vector (LeCun's, fan-in S). Rows of scale 1
        # learn half as fast: the same step is then a smaller share of a row.
        rows = nn.initializers.normal(1.0 / math.sqrt(self.num_states))
        x = nn.Embed(self.num_states, first, embedding_init=rows)(observation)
        return _layers_above(x, bits, rest, self.num_outputs)


class BoardNetwork(nn.Module):
    """A convolution with wrap-around, then a multi-layer perceptron.

    The convolution is written as patches times a matrix: inside a scan on a CPU that is several
    times faster than XLA's own.

    Attributes:
      hidden_sizes: widths of the hidden layers above the convolution.
      num_outputs: width X of the output.
    """

    hidden_sizes: tuple[int, ...]
    num_outputs: int

    @nn.compact
    def __call__(self, observation: jax.Array, bits: jax.Array | None = None) -> jax.Array:
        """Maps planes `[..., H, W, C]` and bits `[..., F]` to outputs `[..., X]`."""
        patches = observation  # what each field sees: itself, soon those beside it, then below
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
    """What follows the first layer's sums `[..., X]`, in both networks."""
    if bits is not None and bits.shape[-1] > 0:
        x = x + _Dense(x.shape[-1], use_bias=False, name="bits")(bits)
    x = nn.relu(x)
    for size in sizes:
        x = nn.relu(_Dense(size, kernel_init=nn.initializers.he_normal())(x))
    return _Dense(num_outputs, kernel_init=nn.initializers.normal(_OUTPUT_SCALE))(x)


def make_network(
    observation_space: spaces.Space, hidden_sizes: tuple[int, ...], num_outputs: int
) -> nn.Module:
    """The network for an observation space of gymnax, `(params, observation, bits) -> [..., X]`.

    Raises:
      TypeError: where no network is known for such observations.
    """
    if isinstance(observation_space, spaces.Discrete):
        return TableNetwork(observation_space.n, hidden_sizes, num_outputs)
    if isinstance(observation_space, spaces.Box) and len(observation_space.shape or ()) == 3:
        return BoardNetwork(hidden_sizes, num_outputs)
    raise TypeError(f"no network for observations in {observation_space!r}; add one here")
