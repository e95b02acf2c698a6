"""The App. Django's tasks become jobs of it; it may have jobs of its own."""

from jobstream import App

app = App("django-shop", size="small")
