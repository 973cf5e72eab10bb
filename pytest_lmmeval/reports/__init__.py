"""What a run leaves behind: the terminal, results files, JUnit and GitHub."""
