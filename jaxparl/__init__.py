"""Principal-agent reinforcement learning in JAX: contracts, exact equilibria, lockstep learners."""
