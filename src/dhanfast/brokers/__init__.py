"""The outside world: connections to brokers, their addresses and quirks."""
