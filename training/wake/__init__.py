"""A wake word of your own: real clips and synthesised speech → a small network on the stream."""
