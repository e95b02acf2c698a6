"""Steps 1 to 3: from a call of user code to an acknowledged record."""
