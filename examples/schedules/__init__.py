"""Jobs that enqueue themselves: `python -m examples.schedules` plays two days of them in memory."""
