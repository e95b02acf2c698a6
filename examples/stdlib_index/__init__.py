"""An index of Python's standard library, built by jobs: the example behind `make demo`."""
