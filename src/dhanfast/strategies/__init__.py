"""What to do: the strategy contract, rule expressions and the built-in library."""
