"""Devices: whether runs share the cores."""

from __future__ import annotations

import dataclasses

import jax
import numpy as np

from xla_checks import small_runs
from xla_checks.finding import Finding, faster, seconds_in_turns


def a_core_each() -> Finding:
    """XLA-11: as many runs as there are cores, on a device each and on one for all."""
    count = jax.local_device_count()
    config = dataclasses.replace(
        small_runs.TREE, iterations=100, target_interval=50, evaluation_interval=100
    )

    def interval(devices: int):
        compiled = small_runs.compile_runs(
            config, small_runs.tree(), runs=count, lanes=1, devices=devices
        )
        runs = compiled.start()

        def call():
            nonlocal runs
            runs, metrics = compiled.program(runs, np.int32(0))
            return runs, metrics

        return call

    with_it, without = seconds_in_turns(interval(count), interval(1))
    what = f"100 iterations of {count} small runs"
    return faster(what, with_it=with_it, without=without)
