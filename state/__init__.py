"""What is remembered of each user, and where it is kept. Knows nothing of models or Kafka."""
