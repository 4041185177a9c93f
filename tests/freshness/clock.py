"""A clock that moves only when a test says so."""


class ManualClock:
    """Seconds since the test began; `pause` is a sleep that moves the clock."""

    def __init__(self) -> None:
        self.time = 1000.0

    def __call__(self) -> float:
        return self.time

    def advance(self, seconds: float) -> None:
        self.time += seconds

    async def pause(self, seconds: float) -> None:
        self.time += seconds
