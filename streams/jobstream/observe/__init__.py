"""What an operator sees: metrics, lag, probes, logs, traces, canary. It settles no job."""
