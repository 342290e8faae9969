"""The book in other forms: PDF, archive, plain notebooks, a monitor's report."""
