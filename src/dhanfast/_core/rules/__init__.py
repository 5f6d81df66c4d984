"""Rule programs: expressions over series, compiled into a flat array of native operations."""
