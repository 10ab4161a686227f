from .distilled import DistilledImageClassifier

__all__ = ['DistilledImageClassifier']
