"""Chains, smiles, open interest, spreads."""
