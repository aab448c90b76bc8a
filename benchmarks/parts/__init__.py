"""Parts of benchmarks that are too long for one file. Nothing here is run by itself."""

# Sets the process up, before the environments are imported.
import report_card as report_card
