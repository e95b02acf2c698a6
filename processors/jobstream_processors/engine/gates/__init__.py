"""The gates that keep deliveries from a run, one module each."""
