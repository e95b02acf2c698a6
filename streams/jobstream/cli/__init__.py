"""The command line: reads arguments, calls the other rooms, prints what they found.

It decides nothing about jobs. Each command is a module that is imported only when it runs.
"""
