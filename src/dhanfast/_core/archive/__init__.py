"""The tick archive's codec: rows of integers to compressed columns and back, bit for bit."""
