"""What analysts ask of mail, computed from the lake and kept in step with it."""
