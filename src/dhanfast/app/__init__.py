"""The front door: the only place that reads configuration and builds objects."""
