"""Everything that speaks to Kafka, or says what Kafka must hold: names, settings, clients.

It moves records and never looks into a job.
"""
