"""How right SkyOps is, against simulated truth, other people's tables and real recordings."""
