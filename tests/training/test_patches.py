from __future__ import annotations

from contextlib import closing
from typing import Any

import pytest

from noiseless.training.patches import in_turn, prefetch


@pytest.mark.parametrize("ahead", [in_turn, prefetch])
class TestBatchesAhead:
    def test_come_in_order_from_the_first(self, ahead: Any) -> None:
        with closing(ahead(lambda step: 10 * step, 3)) as batches:
            assert [next(batches) for _ in range(6)] == [30, 40, 50, 60, 70, 80]

    def test_hand_on_what_goes_wrong(self, ahead: Any) -> None:
        def fails(step: int) -> int:
            if step == 2:
                raise ValueError("no such step")
            return step

        with closing(ahead(fails, 0)) as batches:
            assert [next(batches), next(batches)] == [0, 1]
            with pytest.raises(ValueError, match="no such step"):
                next(batches)


def test_a_processor_that_trains_makes_no_batch_that_nobody_asked_for() -> None:
    made: list[int] = []
    with closing(in_turn(made.append, 0)) as batches:  # type: ignore[arg-type]
        next(batches)
        next(batches)
    assert made == [0, 1]
