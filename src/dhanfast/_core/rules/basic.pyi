"""Native only: nothing of this module is for Python."""
