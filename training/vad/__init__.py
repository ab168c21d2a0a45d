"""Voice activity, trained: mixes made on the fly and labelled meetings → a small causal network."""
