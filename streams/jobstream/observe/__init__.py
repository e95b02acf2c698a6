"""Metrics, lag, probes and traces: the operator's view of workers and queues."""
