"""The read side: an app's topics folded into a database that can be thrown away and rebuilt.

`fold` says what a record changes, `writing` stores that in one transaction with the offset behind
it, `reading` answers from the tables. Nothing here is on the way of a job: when it is down, jobs
run and are enqueued as before, and the answers are old. Needs the extra `jobstream[views]`.
"""
