"""Results made readable: metrics, run directories, tables, one offline HTML page."""
