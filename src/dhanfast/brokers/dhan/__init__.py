"""Dhan (DhanHQ API v2): addresses, requests, answers, limits, login, order updates."""
