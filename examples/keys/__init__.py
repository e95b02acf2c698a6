"""Idempotency keys in front of two small services."""
