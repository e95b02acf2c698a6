"""The command line: reads arguments, calls the other rooms, prints what they found.

Each command is a module that is imported only when it runs.
"""
