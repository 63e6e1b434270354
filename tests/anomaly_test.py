"""The command that finds what does not belong: folders in every layout, and what it writes."""

from collections.abc import Callable
import csv
import json
import pathlib
import shutil
import subprocess

import numpy as np
from PIL import Image
import pytest
from sklearn import metrics

import bigan_jax
from bigan_jax import anomaly
from bigan_jax.evaluation.anomaly import fitting, scores, verdicts
from bigan_jax.exchange import loaded
from tests import browser
from tests.evaluation.tables.report_test import Checker

NORMALS, JUDGED, STRANGE = 30, 50, 9
TITLES = [n for n in scores.TITLES if n not in (scores.ALAD, scores.TURNED)]  # of a BiGAN


def write(folder: pathlib.Path, count: int, seed: int, low: int = 128) -> None:
  """Pictures of noise, as light as `low` at least, of unequal sizes."""
  folder.mkdir(parents=True, exist_ok=True)
  random = np.random.RandomState(seed)
  for i in range(count):
    pixels = random.randint(low, 256, (8 + i % 3, 9, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(folder / f"{i:03d}.png")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, tiny: Callable, saved_run: Callable
        ) -> pathlib.Path:
  """Of digits without 1s and 7s, by its config."""
  path, config = tmp_path_factory.mktemp("run") / "digits", tiny()
  config.data.without_labels = "1,7"
  saved_run(config, path)
  return path


@pytest.fixture(scope="module")
def model(run: pathlib.Path) -> loaded.Model:
  return bigan_jax.load(str(run))


@pytest.fixture(scope="module")
def mvtec(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
  root = tmp_path_factory.mktemp("mvtec")
  write(root / "train" / "good", NORMALS, 0)
  write(root / "test" / "good", JUDGED, 1)
  for i, name in enumerate(("crack", "<b>hole")):
    write(root / "test" / name, STRANGE, 2 + i, low=0)
  write(root / "ground_truth" / "crack", 2, 9)
  (root / "test" / "good" / "broken.png").write_text("no picture")
  return root


@pytest.fixture(scope="module")
def found(model: loaded.Model, mvtec: pathlib.Path, tmp_path_factory: pytest.TempPathFactory
          ) -> pathlib.Path:
  """What the command wrote about MVTec's folders."""
  out = tmp_path_factory.mktemp("found") / "out"
  judge(model, mvtec, mvtec, out)
  return out


def judge(
    model: loaded.Model, normal: pathlib.Path, images: pathlib.Path, out: pathlib.Path,
    **values: object
) -> verdicts.Verdict:
  return anomaly.find(model, fitting.Options(**values), (str(normal), str(images)), out)


def test_an_earlier_folder_is_replaced_where_one_says_so(
    model: loaded.Model, mvtec: pathlib.Path, found: pathlib.Path, tmp_path: pathlib.Path
) -> None:
  """Of one with a list of pictures that cannot be read, and a page, too."""
  out = shutil.copytree(found, tmp_path / "out")
  folders = (str(mvtec / "train" / "good"), str(mvtec / "test" / "crack"))
  with pytest.raises(FileExistsError, match="--force"):
    anomaly.find(model, fitting.Options(), folders, out)
  anomaly.find(model, fitting.Options(), folders, out, force=True)
  assert len(rows(out)) == STRANGE < len(rows(found))


def rows(out: pathlib.Path) -> list[dict[str, str]]:
  with open(out / "scores.csv", newline="") as file:
    return list(csv.DictReader(file))


def test_a_sorted_list_with_every_score(
    model: loaded.Model, mvtec: pathlib.Path, found: pathlib.Path
) -> None:
  table, limit = rows(found), json.loads((found / "threshold.json").read_text())
  assert list(table[0]) == ["image_path", "pred_score", "pred_label", "gt_label",
                            *(f"score_{name}" for name in TITLES)]
  assert len(table) == JUDGED + 2 * STRANGE
  values = [float(row["pred_score"]) for row in table]
  assert values == sorted(values, reverse=True)
  fitted = bigan_jax.AnomalyDetector(model).fit(mvtec / "train" / "good")
  names = [mvtec / "test" / row["image_path"] for row in table]
  for name, expected in fitted.scores(names).items():
    own = [float(row[f"score_{name}"]) for row in table]
    np.testing.assert_allclose(own, expected, rtol=1e-5, err_msg=name)
  assert limit["threshold"] == fitted.threshold_ and limit["score"] == fitted.score_ == "combined"
  assert (limit["quantile"], limit["held_out"], limit["normal_pictures"]) == (0.95, 6, NORMALS)
  for row in table:
    assert row["pred_label"] == str(int(float(row["pred_score"]) > limit["threshold"]))
    assert row["gt_label"] == str(int(not row["image_path"].startswith("good/")))
  assert (found / "skipped.txt").read_text() == "good/broken.png\tcannot be decoded\n"


def test_how_well_it_ranks_is_said_with_the_base_rate(found: pathlib.Path) -> None:
  table, said = rows(found), json.loads((found / "metrics.json").read_text())
  truth = [int(row["gt_label"]) for row in table]
  assert said["base_rate"] == np.mean(truth) and said["anomalies"] == 2 * STRANGE
  assert list(said["scores"]) == TITLES
  for name, own in said["scores"].items():
    values = [float(row[f"score_{name}"]) for row in table]
    assert own["AUROC"] == pytest.approx(metrics.roc_auc_score(truth, values))
    assert own["AUPR"] == pytest.approx(metrics.average_precision_score(truth, values))
    assert own["AUROC_interval"][0] <= own["AUROC"] <= own["AUROC_interval"][1]
  flagged = np.array([int(row["pred_label"]) for row in table])
  assert said["recall"] == np.mean(flagged[np.array(truth) == 1])
  assert said["above_threshold"] == flagged.sum()


def test_the_page_holds_everything_itself(found: pathlib.Path) -> None:
  text, checker = (found / "index.html").read_text(), Checker()
  checker.feed(text)
  assert not checker.open
  assert len(checker.images) == 40  # 32 of the most suspicious, 8 of the least
  assert all(image.startswith("data:image/png;base64,") for image in checker.images)
  assert "src=\"http" not in text and "url(http" not in text and "<link" not in text
  assert len(text) < 400_000 and text.count("<svg") == 1
  table = rows(found)
  shown = "\n".join(checker.text)
  for rank in (1, 32, JUDGED + 2 * STRANGE):
    row = table[rank - 1]
    assert f"{rank}. {row['image_path']}: {float(row['pred_score']):.4g}, " in shown
  assert "<b>hole/" in shown  # Escaped, or it would be a tag.
  assert "ROC" in text and shown.count("combined") > 40 and "showModal" in text
  assert text.count('<figure class="above"') == sum(
      row["pred_label"] == "1" for row in table[:32] + table[-8:])


def test_a_browser_shows_the_page_and_hears_a_click(found: pathlib.Path) -> None:
  with browser.open_page(found / "index.html", width=1000) as page:
    count = lambda selector: page.run(f"document.querySelectorAll({json.dumps(selector)}).length")
    shown = "[...document.images].filter(picture => picture.naturalWidth && picture.width > 100)"
    assert count("figure img") == page.run(f"{shown}.length") == 40
    assert not count("dialog[open]")
    page.click("figure:nth-of-type(2) img")
    name = rows(found)[1]["image_path"]
    assert f"2. {name}: " in page.run('document.querySelector("dialog[open] figcaption").innerText')
    larger = 'document.querySelector("dialog img").width / document.querySelector("img").width'
    assert page.run(larger) > 2 and count("dialog[open] tr") == 1 + len(TITLES)
    page.click("dialog[open] img")
    assert not count("dialog[open]")
    page.run('document.querySelector("figure").focus({preventScroll: true})')
    page.press("Return")
    assert count("dialog[open] img") == 1
    page.press("Escape")
    assert not count("dialog[open]")
    page.resize(400)  # Nothing but tables and curves is wider than a telephone.
    assert page.run("document.documentElement.scrollWidth <= innerWidth")
    assert page.complaints() == []


@pytest.mark.parametrize("part, broken, complaint", [
    ("showModal", "show_modal", "line "),
    ('src="data:image/png;base64,', 'src="nowhere.png?', "loads file:"),
])
def test_a_browser_finds_what_is_broken(
    found: pathlib.Path, tmp_path: pathlib.Path, part: str, broken: str, complaint: str
) -> None:
  """A script that fails, a picture that lies elsewhere: without this, the test above is blind."""
  text = (found / "index.html").read_text()
  (tmp_path / "page.html").write_text(text.replace(part, broken, 1))
  with browser.open_page(tmp_path / "page.html") as page:
    page.click("figure:nth-of-type(2) img")
    complaints = page.complaints()
    assert len(complaints) == 1 and complaints[0].startswith(complaint)


def test_normal_beside_abnormal_and_nothing_known(
    model: loaded.Model, mvtec: pathlib.Path, tmp_path: pathlib.Path
) -> None:
  write(tmp_path / "in" / "Normal", 5, 1)
  write(tmp_path / "in" / "abnormal", 2, 2, low=0)
  write(tmp_path / "in", 3, 3)
  verdict = judge(model, mvtec / "train", tmp_path / "in", tmp_path / "a", score="pixels")
  assert sorted(verdict.labels) == [-1] * 3 + [0] * 5 + [1] * 2 and verdict.score == "pixels"
  assert json.loads((tmp_path / "a" / "metrics.json").read_text())["labelled"] == 7
  write(tmp_path / "flat" / "2024", 4, 4)
  judge(model, mvtec, tmp_path / "flat", tmp_path / "b")
  assert sorted(path.name for path in (tmp_path / "b").iterdir()) == [
      "index.html", "scores.csv", "threshold.json"]
  assert "gt_label" not in rows(tmp_path / "b")[0]
  by_name = {row["image_path"]: row["pred_score"] for row in rows(tmp_path / "b")}
  (tmp_path / "flat" / "2024" / "003.png").unlink()
  write(tmp_path / "flat" / "more", 90, 5, low=0)
  judge(model, mvtec, tmp_path / "flat", tmp_path / "c")
  again = {row["image_path"]: float(row["pred_score"]) for row in rows(tmp_path / "c")}
  for i in range(3):  # Whatever lies beside it.
    name = f"2024/{i:03d}.png"
    assert again[name] == pytest.approx(float(by_name[name]), rel=1e-5)


@pytest.mark.parametrize("kind, said", [("good", "is normal, so"), ("bad", "is an anomaly, so")])
def test_one_kind_alone_has_no_auroc(
    model: loaded.Model, mvtec: pathlib.Path, tmp_path: pathlib.Path, kind: str, said: str
) -> None:
  write(tmp_path / "in" / kind, 4, 1)
  verdict = judge(model, mvtec, tmp_path / "in", tmp_path / "out")
  assert f"Every labelled picture {said} there is no AUROC" in verdicts.sentence(verdict)
  assert "scores" not in json.loads((tmp_path / "out" / "metrics.json").read_text())
  assert f"Every labelled picture {said}" in (tmp_path / "out" / "index.html").read_text()


def test_what_is_refused_leaves_nothing(
    model: loaded.Model, mvtec: pathlib.Path, tmp_path: pathlib.Path
) -> None:
  out = tmp_path / "out"
  def refused(normal: pathlib.Path, images: pathlib.Path, said: str, **values: object) -> None:
    with pytest.raises((ValueError, FileNotFoundError), match=said):
      judge(model, normal, images, out, **values)
    assert not list(tmp_path.glob("*out*")) and not list(tmp_path.glob(".*"))
  write(tmp_path / "one", 1, 0)
  (tmp_path / "none").mkdir()
  write(tmp_path / "odd" / "normal", 1, 0)
  write(tmp_path / "odd" / "bad", 1, 0)
  write(tmp_path / "odd" / "other", 1, 0)
  good = mvtec / "train" / "good"
  refused(tmp_path / "none", mvtec, "none holds no pictures .*name another by --normal")
  refused(tmp_path / "nowhere", mvtec, "There is no folder '.*nowhere': --normal names one")
  refused(tmp_path / "one", mvtec, "There is 1 normal picture: give 10 or more")
  refused(mvtec, tmp_path / "odd", "odd holds other/ beside bad/ and normal/, of which nothing is")
  refused(good, good, "good lies in .*good, so that pictures would be judged by themselves")
  refused(mvtec / "test", mvtec / "test" / "good", "would be judged by themselves")
  refused(mvtec / "test" / "good", mvtec / "test", "would be judged by themselves")
  refused(mvtec, mvtec, "contamination is 0.0, but must be above 0", contamination=0.0)
  broken = model._replace(E=lambda x: (model.E(x)[0] * np.nan, model.E(x)[1]))
  with pytest.raises(ValueError, match="The score pixels is not finite, so the networks hold NaN"):
    judge(broken, mvtec, mvtec, out)
  assert not out.exists()
  out.mkdir()
  (out / "mine.txt").touch()
  with pytest.raises(FileExistsError, match="out is there already: choose another"):
    judge(model, mvtec, mvtec, out)


def test_the_set_of_the_run(
    run: pathlib.Path, forked_python: pathlib.Path, tmp_path: pathlib.Path
) -> None:
  command = [forked_python, "-m", "bigan_jax.anomaly", f"--model={run}",
             f"--out={tmp_path / 'out'}", "--contamination=0.1"]
  done = subprocess.run(command, timeout=120, capture_output=True, text=True)
  assert done.returncode == 0, done.stderr
  assert "Normal: 8 classes (0, 2, 3, 4, 5, ...) of digits. Judged: all classes" in done.stdout
  said = json.loads((tmp_path / "out" / "metrics.json").read_text())
  assert said["images"] == 250 and said["anomalies"] == 48
  assert "250 pictures, " in done.stdout and "; base rate 0.192." in done.stdout
  assert rows(tmp_path / "out")[0]["image_path"].startswith("digits/")
  assert json.loads((tmp_path / "out" / "threshold.json").read_text())["quantile"] == 0.9
  with pytest.raises(ValueError, match="Give both --normal=FOLDER and --images=FOLDER, or neither"):
    anomaly.pair("a", None)


def test_networks_that_allow_few_scores(
    tiny: Callable, saved_run: Callable, tmp_path: pathlib.Path, mvtec: pathlib.Path
) -> None:
  saved_run(tiny("gan"), tmp_path / "gan")
  gan = bigan_jax.load(str(tmp_path / "gan"))
  judge(gan, mvtec, mvtec, tmp_path / "out")
  assert "score_discriminator" in rows(tmp_path / "out")[0]
  with pytest.raises(ValueError, match="or a model that was trained without some classes"):
    anomaly.find(gan, fitting.Options(), None, tmp_path / "more")
