"""The stack of docker-compose.yml on this machine, without Docker: to be looked at."""
