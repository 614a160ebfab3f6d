"""Reading a repository as a whole: its imports, its history, its documents. Executes nothing."""
