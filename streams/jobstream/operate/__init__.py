"""The operator's reading side: dead letters, one job's history, lag and offsets, from topics alone.

It needs the bootstrap servers and the app's name, never the user's code. Only `redrive.py` and
`offsets.py` write, and only when asked; nothing here runs a job.
"""
