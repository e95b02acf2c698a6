"""Step 11: what a decision writes, and the thread that makes it durable."""
