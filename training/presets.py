"""The variants of the network, for people; what each is: `VARIANTS` of entrain/model.py."""

PRESETS = {
    "base": "features of past turns, no texts",
    "words": "and the texts of past turns",
    "words-lookahead": "and the text that is about to be said: what ships",
    "mel": "features and Mel-spectrograms of past turns, no texts: a published negative result",
    "dual": "words-lookahead; one attention over own turns, another over the partner's",
    "partner": "words-lookahead; attention over the partner's turns only",
    "none": "words-lookahead without attention",
}
