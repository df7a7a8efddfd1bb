"""The same work by other projects' tools, set up as their users would; each in a process of its own.

The Python ones run in a virtual environment of their own: what they pin is not what this project needs.
"""
