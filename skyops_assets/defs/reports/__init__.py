"""Reports of the week and the month, as pages."""
