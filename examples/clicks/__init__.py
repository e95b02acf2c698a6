"""Clicks become jobs: `python -m examples.clicks` kills the agent that does it, and counts."""
