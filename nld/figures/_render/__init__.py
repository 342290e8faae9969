"""How figures look: style, numbers in text, compact SVG."""
