"""The one exception a person is meant to read.

Raised wherever input, configuration or the surroundings are at fault. The message
names the value, the place and what to do; the command line prints it without a traceback.
"""


class SkyOpsError(Exception):
    """A failure whose message is one clear sentence for the reader."""
