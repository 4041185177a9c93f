"""The private servers: made, kept, stopped, and never in the way of the next start."""
