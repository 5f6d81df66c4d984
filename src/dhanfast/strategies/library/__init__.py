"""Built-in strategies: each one file with its hypothesis, parameters and expected regime."""
