"""From executed notebooks to pages: cards, rulings, reference pages, and the Sphinx extension that writes them."""
