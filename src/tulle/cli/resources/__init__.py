"""What the commands for declared resources share."""
