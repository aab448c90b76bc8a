"""The networks, chosen by what the players observe.

Hidden layers with ReLU (section 5 of the paper). A discrete observation is a one-hot vector
in the paper; the product of such a vector with the first layer's weights is one row of them,
so the first layer is a table look-up here.
"""

from __future__ import annotations

import math

import flax.linen as nn
import jax
from gymnax.environments import spaces

# Values start near 0: where nothing was learned yet, the targets are rewards, not noise.
_OUTPUT_SCALE = 0.01


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
    def __call__(self, observation: jax.Array) -> jax.Array:
        """Maps indices `[...]` to outputs `[..., X]`."""
        first, *rest = self.hidden_sizes
        # The scale of a dense layer on the one-hot vector (LeCun's, fan-in S). Rows of scale 1
        # learn half as fast: the same step is then a smaller share of a row.
        rows = nn.initializers.normal(1.0 / math.sqrt(self.num_states))
        x = nn.relu(nn.Embed(self.num_states, first, embedding_init=rows)(observation))
        for size in rest:
            x = nn.relu(nn.Dense(size, kernel_init=nn.initializers.he_normal())(x))
        return nn.Dense(self.num_outputs, kernel_init=nn.initializers.normal(_OUTPUT_SCALE))(x)


def make_network(
    observation_space: spaces.Space, hidden_sizes: tuple[int, ...], num_outputs: int
) -> nn.Module:
    """The network for an observation space of gymnax.

    Raises:
      TypeError: where no network is known for such observations.
    """
    if isinstance(observation_space, spaces.Discrete):
        return TableNetwork(observation_space.n, hidden_sizes, num_outputs)
    raise TypeError(f"no network for observations in {observation_space!r}; add one here")
