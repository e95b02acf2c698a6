"""A service of orders with FastAPI: `python -m examples.fastapi_service` starts all of it."""
