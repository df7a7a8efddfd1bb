"""The databases that are served, one module each with the same few functions; a fourth one is one more module.

What each has is ``Dialect`` in ``kafkajourney.database.dialect``, which also looks them up.
"""
