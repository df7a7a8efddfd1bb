"""What the stack is made of, pinned in this one place."""

KAFKA = "org.apache.kafka:kafka_2.13:4.4.0"
KAFKA_LOGGING = "org.slf4j:slf4j-simple:1.7.36"
"""The broker's artifact has no logging backend; this is the one of its slf4j-api's version."""

REGISTRY = "io.apicurio:apicurio-registry-app:3.0.9:tar.gz:all"
"""Of the releases on Maven Central the newest for Java 17: 3.1 and 3.2 were not published there, 3.3 needs Java 21."""

JAVA_SERDES = "io.apicurio:apicurio-registry-serdes-avro-serde:2.6.13.Final"
"""Java's client with a serializer and a deserializer of Confluent's format. The newest release whose parent pom is on
Maven Central; Confluent's own are not there."""

MAVEN_PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:2.10"
"""Not a newer one: those read the registry's parent pom, which is not on Maven Central."""

JAVA = 17
"""The oldest Java that these run on."""
