"""What the shop keeps."""

from __future__ import annotations

from django.db import models


class Order(models.Model):
    """An order, and by which job its receipt was sent."""

    id = models.CharField(primary_key=True, max_length=128)
    email = models.CharField(max_length=128)
    mailed_by = models.CharField(max_length=64, default="")

    def __str__(self) -> str:
        return str(self.id)
