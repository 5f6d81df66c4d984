"""What we remember: catalog of market data, archives, journals."""
