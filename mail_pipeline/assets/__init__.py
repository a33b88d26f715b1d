"""What the asset graph shows: the accounts and their mail."""
