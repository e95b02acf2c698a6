"""A service of orders with Flask: `python -m examples.flask_service` starts all of it."""
