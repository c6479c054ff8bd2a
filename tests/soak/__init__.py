"""Long runs of a whole instance, started by hand: `make loop`."""
