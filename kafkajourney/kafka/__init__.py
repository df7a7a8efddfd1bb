"""The seam to Kafka: clients and the properties that the guarantee stands on, topics, reading, what errors mean."""
