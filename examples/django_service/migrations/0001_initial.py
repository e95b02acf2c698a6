"""The table of orders."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import migrations, models


class Migration(migrations.Migration):
    """The first one."""

    initial = True
    dependencies: ClassVar[list[Any]] = []
    operations: ClassVar[list[Any]] = [
        migrations.CreateModel(
            name="Order",
            fields=[
                ("id", models.CharField(max_length=128, primary_key=True, serialize=False)),
                ("email", models.CharField(max_length=128)),
                ("mailed_by", models.CharField(default="", max_length=64)),
            ],
        ),
    ]
