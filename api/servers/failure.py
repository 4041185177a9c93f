"""The one way in which a private server fails."""


class ServerFailed(Exception):
    """A private server could not be found, started or kept; the message says what to do."""
