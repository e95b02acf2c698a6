"""Pure decisions: no clock, socket, thread or randomness."""
