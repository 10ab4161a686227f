"""Sets of handwritten digits, as images and as events, without a download.

In: the digits of scikit-learn, a seed. Out: folders of images, annotations and
events, and data sets on them.
"""
