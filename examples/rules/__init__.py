"""Small programs, one for each rule about when a job may run. Each runs in memory."""
