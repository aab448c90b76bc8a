"""The parts of gpu.py. What they show is measured by `measuring`, in processes of its own."""
