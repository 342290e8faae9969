"""What several figures compute, or one at length."""
