"""Turns fitted scikit-learn pipelines into the linear form, or says why one has none."""
