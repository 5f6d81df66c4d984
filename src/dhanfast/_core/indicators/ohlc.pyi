"""No Python names: this module is the native door of the indicators that read bars."""
