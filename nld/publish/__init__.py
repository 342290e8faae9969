"""From chapters to a book: papermill executes, a store keeps, Jupyter Book renders."""
