"""The command ``kafkajourney``: stack, demo, doctor, status, verification, dead letters."""
