"""Matrix products and convolutions of the networks, forward and backward."""

from __future__ import annotations

from unittest import mock

import flax.linen as nn
import jax
import jax.numpy as jnp
from gymnax.environments import spaces

from jaxparl.learning import networks
from jaxparl.learning.networks import make_network
from xla_checks.finding import Finding, both, compiled_loop, faster, seconds_in_turns

_STEPS = 20
_HIDDEN, _OUTPUTS = (256, 256), 4
_CHANNELS, _KERNEL = 32, (4, 4)


class _Convolution(nn.Module):
    """The board's network with XLA's convolution."""

    @nn.compact
    def __call__(self, observation: jax.Array) -> jax.Array:
        x = nn.relu(nn.Conv(_CHANNELS, _KERNEL, padding="CIRCULAR")(observation))
        x = x.reshape(x.shape[0], -1)
        for size in _HIDDEN:
            x = nn.relu(nn.Dense(size)(x))
        return nn.Dense(_OUTPUTS)(x)


def _planes(size: int, batch: int) -> jax.Array:
    return jax.random.bernoulli(jax.random.key(1), 0.1, (batch, size, size, 4)).astype(jnp.float32)


def _board(size: int) -> nn.Module:
    space = spaces.Box(0, 1, (size, size, 4))
    return make_network(space, _HIDDEN, _OUTPUTS, wraps_around=True)


def _gradient_steps(network: nn.Module, observation: jax.Array):
    """A compiled loop of gradient steps; `() -> params`."""
    params = network.init(jax.random.key(0), observation)

    def loss(params):
        return jnp.mean(jnp.square(network.apply(params, observation) - 1.0))

    def step(params, _):
        return jax.tree.map(lambda w, g: w - 1e-3 * g, params, jax.grad(loss)(params))

    compiled = compiled_loop(step, params, _STEPS)
    return lambda: compiled(params)


def kernel_gradient() -> Finding:
    """XLA-01: gradient steps of both networks, with the barrier and with plain products."""

    def compare(what: str, network: nn.Module, observation: jax.Array) -> Finding:
        ours = _gradient_steps(network, observation)
        with mock.patch.object(networks, "_product", jnp.matmul):
            plain = _gradient_steps(network, observation)
        with_it, without = seconds_in_turns(ours, plain)
        return faster(what, with_it=with_it / _STEPS, without=without / _STEPS)

    states = jax.random.randint(jax.random.key(1), (128,), 0, 1023)
    return both(
        compare("a step on trees", make_network(spaces.Discrete(1023), _HIDDEN, _OUTPUTS), states),
        compare("on 7x7", _board(7), _planes(7, 256)),
    )


def convolution() -> Finding:
    """XLA-02: gradient steps of the board's network, by patches and by XLA's convolution."""
    observation = _planes(7, 64)
    ours = _gradient_steps(_board(7), observation)
    plain = _gradient_steps(_Convolution(), observation)
    with_it, without = seconds_in_turns(ours, plain, repeats=3)
    return faster("a step on 7x7", with_it=with_it / _STEPS, without=without / _STEPS)
