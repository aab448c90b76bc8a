"""`python train.py ENV [options]`; the same as `jaxparl train ENV [options]`."""

import sys

from jaxparl.cli import main

if __name__ == "__main__":
    main(["train", *sys.argv[1:]])
