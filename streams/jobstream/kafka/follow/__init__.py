"""Topics read outside any consumer group: the Log port, and compacted topics that are followed."""
