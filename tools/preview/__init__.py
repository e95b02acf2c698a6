"""Draws the dashboards with Grafana's own components, from data that Prometheus gave."""
