"""`python train.py ENV [options]`; the same as `jaxparl train ENV [options]`."""

import sys

from jaxparl.__main__ import main

if __name__ == "__main__":
    main(["train", *sys.argv[1:]])
