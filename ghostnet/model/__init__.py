"""An opened model, and its use: images to labels or features, and its accuracy."""

from ghostnet.model.evaluation import Evaluation
from ghostnet.model.explanation import Explanation
from ghostnet.model.images import ImageLike, ImageSource
from ghostnet.model.label_evaluation import LabelEvaluation
from ghostnet.model.model import Model
from ghostnet.model.result import Prediction, Result

__all__ = [
    "Evaluation",
    "Explanation",
    "ImageLike",
    "ImageSource",
    "LabelEvaluation",
    "Model",
    "Prediction",
    "Result",
]
