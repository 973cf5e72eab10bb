"""The Python code of tasks: where it may stand, what it needs, and how it is called."""
