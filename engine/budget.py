"""What answering may cost."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter

from engine.errors import BudgetExceeded


@dataclass(slots=True)
class Budget:
    """What evaluations may still cost: stored tuples read, goals, and a `perf_counter` time."""

    reads: int
    nodes: int
    deadline: float

    def spend_nodes(self, count: int) -> None:
        """Raises BudgetExceeded when no goals are left."""
        self.nodes -= count
        if self.nodes < 0:
            raise BudgetExceeded.of("nodes")

    def spend_reads(self, count: int) -> None:
        """Raises BudgetExceeded when no reads are left."""
        self.reads -= count
        if self.reads < 0:
            raise BudgetExceeded.of("reads")

    def check_time(self) -> float:
        """The time now. Raises BudgetExceeded after the deadline."""
        moment = perf_counter()
        if moment > self.deadline:
            raise BudgetExceeded.of("milliseconds")
        return moment
