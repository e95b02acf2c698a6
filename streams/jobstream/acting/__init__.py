"""What operators do to an app: each act checked, done, and put into the audit with who and why.

It knows no HTTP and no terminal; the API and the pages act through it.
"""
