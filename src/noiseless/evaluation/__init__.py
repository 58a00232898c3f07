"""Evaluation: models measured side by side, and a report that says how."""

from noiseless.evaluation.evaluate import evaluate
from noiseless.evaluation.report import ImageScore, ModelResult, Protocol, Report

__all__ = ["ImageScore", "ModelResult", "Protocol", "Report", "evaluate"]
