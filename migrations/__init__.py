"""The history of the application's tables, and ``python -m migrations``, which applies the library's too."""
