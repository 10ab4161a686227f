"""Classifiers that mmpretrain does not have."""

from .distilled import DistilledImageClassifier

__all__ = ['DistilledImageClassifier']
