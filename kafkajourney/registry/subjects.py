"""How subjects are named."""


def union_subject(topic: str) -> str:
    """Return the topic's subject, under which Control Center shows the schema of its values."""
    return f"{topic}-value"
