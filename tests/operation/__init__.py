"""How the service is run: its private servers, and the server itself as a process."""
