"""The scheduler: who owns a partition of the schedules topic fires its schedules."""
