"""When: which step belongs to which epoch, and what is due at it."""

from typing import NamedTuple

import ml_collections


class Timetable(NamedTuple):
  """Which step belongs to which epoch, and what is due when."""

  steps_per_epoch: int
  epochs: int
  stop_epoch: int
  evaluate_every: int
  save_every: int
  dispatch: int
  save_seconds: float = 0

  @property
  def last_step(self) -> int:
    return self.stop_epoch * self.steps_per_epoch

  def evaluates_at(self, step: int) -> bool:
    """At epochs 0, 1, every so many, the end of the constant phase and the end (reference 6)."""
    epoch, rest = divmod(step, self.steps_per_epoch)
    chosen = (0, 1, self.epochs - self.epochs // 2, self.stop_epoch)
    return not rest and (epoch in chosen or epoch % self.evaluate_every == 0)

  def saves_at(self, step: int, seconds: float) -> bool:
    """Whether a state is saved that comes so many seconds after the last that was."""
    epoch, rest = divmod(step, self.steps_per_epoch)
    due = epoch % self.save_every == 0 and seconds >= self.save_seconds
    return not rest and (due or self.evaluates_at(step))

  def steps_to_dispatch(self, step: int) -> int:
    """How many steps to run next: up to `dispatch`, never across the end of an epoch."""
    return min(self.dispatch, self.steps_per_epoch - step % self.steps_per_epoch)


def timetable(config: ml_collections.ConfigDict, images: int) -> Timetable:
  """The timetable of a config; an epoch is ceil(images / batch) batches (reference section 5)."""
  steps = -(-images // config.batch_size)
  most = min(config.steps_per_dispatch, steps)
  # An even share of the epoch where there is one, so that only one program is compiled.
  even = max(n for n in range(1, most + 1) if steps % n == 0)
  return Timetable(
      steps, config.epochs, config.stop_epoch or config.epochs, config.eval.every,
      config.save_every, even if 4 * even >= most else most, config.save_seconds,
  )
