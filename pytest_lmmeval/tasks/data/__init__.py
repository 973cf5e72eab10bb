"""The docs of a task: opening a data set, and reading its rows."""
