"""Devices: whether runs share the cores."""

from __future__ import annotations

import dataclasses

import jax
import numpy as np

from xla_checks import small_runs
from xla_checks.finding import Finding, faster, seconds_in_turns


def _interval(devices: int):
    """One small run for every core, compiled for so many devices; `() -> (runs, metrics)`."""
    config = dataclasses.replace(
        small_runs.TREE, iterations=100, target_interval=50, evaluation_interval=100
    )
    compiled = small_runs.compile_runs(
        config, small_runs.tree(), runs=jax.local_device_count(), lanes=1, devices=devices
    )
    runs = compiled.start()

    def call():
        nonlocal runs
        runs, metrics = compiled.program(runs, np.int32(0))
        return runs, metrics

    return call


def a_core_each() -> Finding:
    """XLA-11: as many runs as there are cores, on a device each and on one for all."""
    count = jax.local_device_count()
    with_it, without = seconds_in_turns(_interval(count), _interval(1))
    return faster(f"100 iterations of {count} small runs", with_it=with_it, without=without)
