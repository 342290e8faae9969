"""Scale and rescale symmetries: how strongly each activation scales when parameters are scaled."""
