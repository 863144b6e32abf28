"""What is handed out: one rendered manifest, the packaged chart, and their check sums."""
