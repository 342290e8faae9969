"""What figures compute, one idea a module; a module whose name ends in `_prose` only words it."""
