"""The delay ladder at work: carries waiting jobs from rung to rung, and then to their queue."""
