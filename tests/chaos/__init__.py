"""The fault suite: real processes on the real stack, killed, frozen and cut off at random, then verified.

``python -m tests.chaos`` (``make chaos``) runs it; ``tests/project/test_chaos.py`` runs a short form.
"""
