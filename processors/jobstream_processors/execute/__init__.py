"""Step 9: run a handler under its time limit, on the event loop, in a thread or in a process."""
