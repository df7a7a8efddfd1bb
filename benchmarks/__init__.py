"""What is measured, against what, reproducibly: ``make bench``."""
