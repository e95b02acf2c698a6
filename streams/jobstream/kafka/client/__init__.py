"""What every Kafka client of ours shares: options, errors, admin calls, and the brokers' time."""
