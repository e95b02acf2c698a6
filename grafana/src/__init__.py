"""The dashboards as code: what each panel asks and says, and how that becomes Grafana's JSON.

`python -m grafana.src` writes `grafana/dashboards/*.json`. It belongs to the workshop: no user
installs it, and nothing here talks to Grafana or Prometheus.
"""
