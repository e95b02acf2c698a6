"""What a process does for an app: worker and delayer, and how it starts, stops and leaves."""
