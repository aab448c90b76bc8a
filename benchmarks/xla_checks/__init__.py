"""The checks of `workarounds.py`, one function for each workaround that docs/xla.md lists."""

# Sets the process up, before the environments are imported.
import report_card as report_card
