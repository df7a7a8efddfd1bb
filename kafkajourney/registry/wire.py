"""The Confluent wire format: magic byte 0, the schema's id as a 4-byte big-endian integer, the Avro body.

https://docs.confluent.io/platform/current/schema-registry/fundamentals/serdes-develop/index.html#wire-format
"""

import struct

HEADER = struct.Struct(">bI")
