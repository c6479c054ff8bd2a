"""What several test modules use: inputs, servers, commands. Fixtures are in the conftest files."""
