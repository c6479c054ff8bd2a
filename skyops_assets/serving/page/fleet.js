// The page /fleet.
