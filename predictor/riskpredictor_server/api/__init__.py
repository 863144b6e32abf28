"""What a request means and what it is answered, whichever server carries it."""
