"""Fixtures of every test: the brokers that users get, too. They start with the first who asks."""

pytest_plugins = ["jobstream.broker.fixture"]
