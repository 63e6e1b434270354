"""What every column of metrics.jsonl is called at length, and which way is better."""

from typing import NamedTuple

BETTER = {"up": "higher is better", "down": "lower is better", "": ""}
ARROWS = {"up": "↑", "down": "↓", "": ""}
QUALITY_NEIGHBOURS = 5  # whose distance is the radius of balls, of samples in a job and in training


class Measure(NamedTuple):
  """A column: its long name, and the way that is better: "up", "down", or "" for neither."""

  title: str
  better: str = ""


LEARNER = {  # of the runs of feature learners
    "step": Measure("updates so far"),
    "epoch": Measure("passes over the training pictures"),
    "rate": Measure("learning rate"),
    "JD": Measure("joint discriminator loss, of pairs (x, z); 0.69 is chance in the paper's game"),
    "D": Measure("discriminator loss, of pictures; 0.69 is chance in the paper's game"),
    "D_xx": Measure("loss of D_xx, which tells (x, x) from (x, G(E(x))); 0.69 is chance"),
    "D_zz": Measure("loss of D_zz, which tells (z, z) from (z, E(G(z))); 0.69 is chance"),
    "G": Measure("generator loss"),
    "E": Measure("encoder loss"),
    "D_real": Measure("share of real inputs that the discriminator gets right"),
    "D_fake": Measure("share of generated inputs that the discriminator gets right"),
    "grad_norm_D": Measure("norm of the discriminator's gradient"),
    "grad_norm_D_xx": Measure("norm of D_xx's gradient"),
    "grad_norm_D_zz": Measure("norm of D_zz's gradient"),
    "grad_norm_G": Measure("norm of the generator's gradient"),
    "grad_norm_E": Measure("norm of the encoder's gradient"),
    "NND/100": Measure("distance to the nearest of a hundredth of the samples", "down"),
    "NND/10": Measure("distance to the nearest of a tenth of the samples", "down"),
    "NND": Measure("distance to the nearest of all samples", "down"),
    "code_std_mean": Measure("mean spread of the code's dimensions; z has 0.58, or 1 if normal"),
    "code_std_min": Measure("least spread of the code's dimensions; 0 is collapse"),
    "NNC_e": Measure("1-nearest-neighbour accuracy on the raw code, %", "up"),
    "NNC_e-": Measure("1-nearest-neighbour accuracy on e-, E's last hidden layer, %", "up"),
    "NNC_d": Measure("1-nearest-neighbour accuracy on D's last hidden layer, %", "up"),
    "CLS_e-": Measure("accuracy of a briefly trained linear classifier on e-, %", "up"),
    "CLS_d": Measure("accuracy of a briefly trained linear classifier on D's last layer, %", "up"),
    "EGr": Measure("reconstruction error, from x to G(E(x))", "down"),
    "EGr_b": Measure("chance level of EGr, from another x to G(E(x))"),
    "EGg": Measure("reconstruction error of samples", "down"),
    "EGg_b": Measure("chance level of EGg, from another sample"),
    "AUROC": Measure("area under the ROC curve of anomalies; 0.5 is chance", "up"),
    "frechet": Measure("Frechet distance of samples to pictures, over pixels' components", "down"),
    "kernel": Measure("kernel distance of samples to pictures, over pixels' components", "down"),
    "precision": Measure("share of samples that lie among neighbours of pictures", "up"),
    "recall": Measure("share of pictures that lie among neighbours of samples", "up"),
    "density": Measure("how densely pictures lie around samples; of pictures themselves 1", "up"),
    "coverage": Measure("share of pictures that have a sample among their neighbours", "up"),
    "evaluation_seconds": Measure("seconds that the evaluation took"),
}
WITH_LABELS = {  # of the jobs that train with labels
    "train_loss": Measure("loss in training"),
    "train_class_loss": Measure("loss of classes in training"),
    "train_box_loss": Measure("loss of boxes in training"),
    "train_accuracy": Measure("accuracy in training", "up"),
    "train_pixel_accuracy": Measure("accuracy of pixels in training", "up"),
    "centre_crop": Measure("accuracy on the centre crops of judged pictures, %", "up"),
    "mAP_one_crop": Measure("mean average precision on one crop of each picture, %", "up"),
    "mAP": Measure("mean average precision by VOC2007's 11 points, %", "up"),
    "mAP_area": Measure("mean average precision by the area, %", "up"),
    "mIU": Measure("mean intersection over union, %", "up"),
    "pixel_accuracy": Measure("accuracy of pixels, %", "up"),
    "mean_accuracy": Measure("mean accuracy of pixels over classes, %", "up"),
}
MEASURES = LEARNER | WITH_LABELS
CRITERIA = tuple(name for name, measure in LEARNER.items() if measure.better)


def better(name: str) -> str:
  """"up", "down" or ""; whatever is called a % is an accuracy."""
  return MEASURES.get(name, Measure("", "up" if name.endswith(" %") else "")).better


def describe(name: str) -> str:
  """The long name and the better way; "" for a name that the table lacks."""
  if name not in MEASURES:
    return ""
  return "; ".join(filter(None, (MEASURES[name].title, BETTER[better(name)])))
