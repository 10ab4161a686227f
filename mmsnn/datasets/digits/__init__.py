"""Scenes of handwritten digits, and recordings of them; no download.

In: the digits of scikit-learn, a seed. Out: folders of images, annotations and
events, and data sets on them.
"""
