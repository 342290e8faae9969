"""What a figure leaves behind: its files, its table and their description."""
