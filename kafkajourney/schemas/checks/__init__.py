"""What ``python -m schemas check`` looks at, a module each; all of them yield ``Finding``."""
