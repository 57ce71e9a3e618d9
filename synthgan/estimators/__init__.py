"""Estimators: fit a model, sample from it, save it."""
