"""From responses to samples, scores, metric results and group results."""
