"""Every figure in the README, printed: `make bench`, or `python -m benchmarks --help`."""
