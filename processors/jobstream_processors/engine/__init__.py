"""Steps 5 to 8, 10 and 12, on the event loop: from a record to a finished offset."""
