"""Services of three frameworks that enqueue: the programs of their pages in docs/how-to/."""
