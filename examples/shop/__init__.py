"""A small shop whose jobs are of every kind: quick, slow, ordered, flaky and broken."""
