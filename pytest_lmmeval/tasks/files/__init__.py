"""Task YAMLs on disk: parsed, checked, and made into a configuration."""
