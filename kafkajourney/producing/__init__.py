"""Events out to the topic: publishing, the reading of NDJSON, the producer's command."""
