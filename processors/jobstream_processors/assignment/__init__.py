"""Steps 4 and 13: the partitions this process has, how far each has come, who had it before."""
