"""Task YAMLs and what they become: docs, prompts, requests, samples and metric results."""
