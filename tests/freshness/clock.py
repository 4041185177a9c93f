"""A clock that moves only when a test says so."""


class ManualClock:
    """Seconds, a microsecond later each time it is read; `pause` is a sleep that moves it."""

    def __init__(self) -> None:
        self.time = 1000.0

    def __call__(self) -> float:
        self.time += 1e-6
        return self.time

    def advance(self, seconds: float) -> None:
        self.time += seconds

    async def pause(self, seconds: float) -> None:
        self.time += seconds
