"""A member of a consumer group on confluent-kafka: the Source port."""
