"""The engine, its broker and the network between them on one simulated clock."""
