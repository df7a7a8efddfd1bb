"""The producer: simulated users or the events of a file, published to the topic."""
