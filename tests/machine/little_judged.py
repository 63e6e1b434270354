"""A bigan_jax.main that is quick to compile: `python -m tests.machine.little_judged FLAGS`."""

from collections.abc import Callable
import gc
import runpy

from bigan_jax.evaluation import metrics, pictures
from bigan_jax.training.state import Snapshot
from tests import forks, lowering


def judge_little(set_attribute: Callable[[object, str, object], None]) -> None:
  """Leaves evaluators that are quick to compile, a metric and a picture."""
  def painter(judge: metrics.Judge, write: pictures.Write) -> metrics.Evaluator:
    def paint(snapshot: Snapshot) -> metrics.Results:
      write("first", snapshot.step, judge.images.images[0])
      return ()
    return paint
  set_attribute(metrics.Judge, "evaluators", lambda judge: [judge.nearest_sample])
  set_attribute(pictures, "painter", painter)


if __name__ == "__main__":
  judge_little(setattr)
  lowering.share_contexts(setattr)
  gc.set_threshold(*forks.GARBAGE)
  runpy.run_module("bigan_jax.main", run_name="__main__", alter_sys=True)
