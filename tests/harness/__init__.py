"""What only our own tests use: workers as processes, trials, benches. It is in no wheel.

What users test their jobs with is `jobstream.testing`, and our tests use it as well.
"""
