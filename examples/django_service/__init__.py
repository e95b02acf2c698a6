"""A service of orders with Django: `python -m examples.django_service` starts all of it."""
