"""Strategies written through the Cython door."""
