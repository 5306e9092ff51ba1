"""The protocols of the earlier projects, and what only they need."""
