"""The pages: HTML of the same answers as the API's, and forms that call the API's own functions.

They work without a script; the one in `static/` refreshes marked regions and adds keys.
"""

from __future__ import annotations

from jobstream.web.pages.site_pages import routes

__all__ = ["routes"]
