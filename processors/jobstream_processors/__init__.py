"""The worker side of jobstream: a pure core that decides, and the worker that drives it."""
