"""Evaluation: models measured side by side, and a report that says how; estimated where no image is clean."""

from noiseless.evaluation.estimates import Estimate, Estimates
from noiseless.evaluation.evaluate import evaluate
from noiseless.evaluation.report import ImageScore, ModelResult, Protocol, Report
from noiseless.evaluation.unreferenced import estimate

__all__ = ["Estimate", "Estimates", "ImageScore", "ModelResult", "Protocol", "Report", "estimate", "evaluate"]
