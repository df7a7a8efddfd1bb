"""The tool behind ``python -m schemas``: checks, classes, registration, differences, new files."""
