"""What tests against a real API server share."""
