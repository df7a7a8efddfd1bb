"""The frame of every command: its options, its exit code, its log, its end by a signal."""
