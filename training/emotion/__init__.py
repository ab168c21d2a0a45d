"""Emotion in a turn: baselines, a network from scratch, and wav2vec 2.0, on folds that keep speakers apart."""
