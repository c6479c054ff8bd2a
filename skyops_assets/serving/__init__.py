"""The service: what SkyOps knows, over HTTP."""
