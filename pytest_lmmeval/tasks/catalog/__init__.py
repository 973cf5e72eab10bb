"""Which tasks there are, and which of them a name stands for."""
