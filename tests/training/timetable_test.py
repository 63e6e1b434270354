"""Tests of the timetable: what is due when, and how many steps a dispatch takes."""

from collections.abc import Callable

import pytest

from bigan_jax.training.state import Schedule
from bigan_jax.training.timetable import Timetable, timetable


def at(steps: int, when: Timetable, rule: Callable[[int], bool]) -> list[float]:
  """The epochs, whole or not, at which a rule holds."""
  return [step / when.steps_per_epoch for step in range(steps + 1) if rule(step)]


def test_evaluations_are_at_0_1_every_so_many_the_middle_and_the_end() -> None:
  when = Timetable(4, epochs=70, stop_epoch=70, evaluate_every=25, save_every=30, dispatch=4)
  assert when.last_step == 280
  assert at(280, when, when.evaluates_at) == [0, 1, 25, 35, 50, 70]
  assert at(280, when, lambda step: when.saves_at(step, 0)) == [0, 1, 25, 30, 35, 50, 60, 70]


def test_a_save_that_comes_too_soon_is_left_out_but_for_what_is_judged() -> None:
  when = Timetable(4, 70, 70, evaluate_every=25, save_every=30, dispatch=4, save_seconds=9)
  assert at(280, when, lambda step: when.saves_at(step, 8.9)) == [0, 1, 25, 35, 50, 70]
  assert at(280, when, lambda step: when.saves_at(step, 9)) == [0, 1, 25, 30, 35, 50, 60, 70]


def test_the_middle_is_the_end_of_the_constant_phase() -> None:
  when = Timetable(2, epochs=7, stop_epoch=7, evaluate_every=100, save_every=100, dispatch=2)
  assert at(14, when, when.evaluates_at) == [0, 1, 4, 7]
  schedule = Schedule(1.0, 0.01, 2, constant_epochs=4, decay_epochs=3)
  assert schedule(4 * 2 - 1) == 1 and schedule(4 * 2) < 1


def test_a_run_that_stops_early_is_judged_where_it_stops() -> None:
  when = Timetable(3, epochs=400, stop_epoch=7, evaluate_every=5, save_every=50, dispatch=3)
  assert when.last_step == 21
  assert at(21, when, when.evaluates_at) == [0, 1, 5, 7]


@pytest.mark.parametrize("steps, most, expected", [
    (391, 100, [100, 100, 100, 91]),  # No even share is worth it: 391 = 17 * 23.
    (400, 100, [100] * 4),
    (99, 100, [99]),
    (10, 4, [2] * 5),
    (98, 50, [49] * 2),
    (7, 1, [1] * 7),
])
def test_dispatches_fill_an_epoch(
    tiny: Callable, steps: int, most: int, expected: list[int]
) -> None:
  config = tiny()
  config.batch_size, config.steps_per_dispatch = 16, most
  when = timetable(config, steps * 16 - 3)
  assert when.steps_per_epoch == steps  # The last batch is filled up: reference section 5.
  step, found = 2 * steps, []
  while step < 3 * steps:
    found.append(when.steps_to_dispatch(step))
    step += found[-1]
  assert found == expected
  assert when.steps_to_dispatch(3 * steps - 1) == 1  # Never across the end of an epoch.


def test_the_clock_of_a_config(tiny: Callable) -> None:
  config = tiny()
  config.epochs = 9
  assert timetable(config, 1250)[:3] == (5, 9, 9)
  config.stop_epoch = 4
  assert timetable(config, 1251)[:3] == (6, 9, 4)
