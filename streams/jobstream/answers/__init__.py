"""What a screen needs, as one frozen value each, with the moment and the source it is true by.

It knows no HTTP and no terminal: the API, the pages and the terminal board show the same answers.
What is read for one of them is shared by all who ask at that time.
"""
