"""What can be traded and when: dated rules, no network."""
