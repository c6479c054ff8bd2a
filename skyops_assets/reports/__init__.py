"""Reports of a week or a month at an airport, as pages: traffic, times, runways, fleet, model."""
