"""One member of a consumer group: the loop, its dead letters and their replay, its command."""
