"""Options: Black's formula, its greeks, its inverse, for one option and for whole chains."""
