// The page /analysis.
