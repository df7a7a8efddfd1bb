"""What tests share: processes, fakes, a database each, files to change."""
