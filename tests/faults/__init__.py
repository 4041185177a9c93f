"""The service as a process, and what befalls it: signals, kills, frozen and absent servers."""
