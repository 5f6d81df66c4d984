"""Run it: wires the floors below into one program and drives it."""
