"""From a doc to what a model is asked."""
