"""Trackers: where the metrics of a run go while it learns, beside its folder.

A tracker is three functions, `start`, `log` and `finish`. The command line has `--log NAME`; from
Python a tracker goes around the generator of progress:

    tracker = jaxparl.trackers.make_tracker("tensorboard", Path("runs/mine"))
    tracker.start([TrackedRun("mine", "seed 0", "mine-0", {})])
    for progress in jaxparl.training.run(config, compiled):
        tracker.log(progress.evaluations * config.evaluation_interval, vars(progress.metrics))
    tracker.finish()

The package of a tracker is imported when the tracker is made, and no other.
"""

from jaxparl.trackers.tracker import TRACKERS as TRACKERS
from jaxparl.trackers.tracker import TrackedRun as TrackedRun
from jaxparl.trackers.tracker import Tracker as Tracker
from jaxparl.trackers.tracker import check_installed as check_installed
from jaxparl.trackers.tracker import finite as finite
from jaxparl.trackers.tracker import make_tracker as make_tracker

__all__ = [
    "TRACKERS",
    "TrackedRun",
    "Tracker",
    "check_installed",
    "finite",
    "make_tracker",
]
