# Nothing here is for Python: see ladder.pxd.
