"""The audit log: what the platform decided, when and why, for as long as the warehouse lives."""
