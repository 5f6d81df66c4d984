"""Incremental indicators: one update per closed bar or tick, O(1) amortised each."""
