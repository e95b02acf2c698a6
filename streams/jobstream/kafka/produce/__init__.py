"""Producers on confluent-kafka: a service's own, and the Sink port of the roles."""
