"""The tick archive: files of compressed columns, written as ticks arrive and read for ever."""
