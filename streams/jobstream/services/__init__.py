"""What jobstream does inside a web service, whatever its framework: it knows none of them.

`jobstream.fastapi`, `jobstream.flask` and `jobstream.django` are the frameworks' own side of it.
"""
