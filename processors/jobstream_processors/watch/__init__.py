"""What others see of a worker: its failures, traces and log, and whether its loop comes round."""
