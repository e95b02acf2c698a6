"""The topics of an app: their names, what they must be like, and making them so."""
