"""A real job per queue at an interval, through the whole path: proof from outside that jobs run."""
