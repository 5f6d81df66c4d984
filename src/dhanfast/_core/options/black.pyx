"""Declarations only: the inline functions of black.pxd, and OptionStatus for Python."""
